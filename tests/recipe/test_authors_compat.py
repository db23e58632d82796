"""authors_compat fills in ordinary fields, one entry at a time, and refuses what contradicts them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import lidr
from lidr.errors import RecipeError
from lidr.recipe.authors_compat import AUTHORS_IDS, ENTRIES
from lidr.recipe.schema import AuthorsCompat
from lidr.resources import shared

GOOD = """\
schema: 1
name: bees
version: 0.1.0
languages: {dominant: en, others: [es, fr]}
policy: {model: ./model}
prompts: {source: prompts, license: cc0-1.0}
chain:
  - generate: {max_tokens: 64}
  - translate: {max_tokens: 80}
  - pair
  - filter: {duplicates: true}
  - train: {learning_rate: 1e-5, batch: 8}
iterations:
  - prompts: 0:8
"""


def load(tmp_path: Path, *overrides: str, text: str = GOOD):
    path = tmp_path / "r.yaml"
    path.write_text(text, encoding="utf-8")
    return lidr.load_recipe(path, overrides=overrides)


def step(recipe, name: str):
    return next(step.config for step in recipe.chain if step.name == name)


def test_the_block_has_the_entries_that_the_table_fills_in():
    assert set(ENTRIES) == set(AuthorsCompat.model_fields)
    assert len(ENTRIES) == 7


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("last_language_only", {"pair.dominant_pairs": "one", "pair.one": "last"}),
        ("repetition_check_off", {"filter.repetition": None}),
        ("joint_drop_without_retry", {"pair.drop": "joint", "translate.retry.times": 0}),
        (
            "translation_ids",
            {
                "pair.translation_type.policy": "keep_source",
                "pair.translation_type.ids": AUTHORS_IDS,
                "pair.translation_type.detector": None,
            },
        ),
        ("repetition_penalties", {"generate.repetition_penalty": 1.1, "translate.repetition_penalty": 1.0}),
    ],
)
def test_an_entry_sets_ordinary_fields_and_says_where_they_come_from(tmp_path, entry, expected):
    recipe = load(tmp_path, f"authors_compat.{entry}=true")
    for path, value in expected.items():
        name, *fields = path.split(".")
        found = step(recipe, name)
        for field in fields:
            found = getattr(found, field)
        assert found == value, path
    sources = {p.source for p in recipe.provenance.values()}
    assert sources == {f"authors_compat.{entry}"}
    assert len(recipe.provenance) == len(expected)
    assert {p.provenance for p in recipe.provenance.values()} == {"authors-code"}


def test_double_bos_is_a_field_of_the_policy(tmp_path):
    assert load(tmp_path).policy.double_bos is False
    assert load(tmp_path, "authors_compat.double_bos=true").policy.double_bos is True


def test_mgsm_is_compared_as_text_where_the_recipe_evaluates(tmp_path):
    text = GOOD.replace("iterations:", "  - evaluate: {tasks: [mgsm]}\niterations:")
    assert step(load(tmp_path, "authors_compat.mgsm_string_match=true", text=text), "evaluate").gold == "text"
    assert step(load(tmp_path, text=text), "evaluate").gold == "number"


def test_an_entry_that_is_off_sets_nothing(tmp_path):
    off = load(tmp_path, *(f"authors_compat.{entry}=false" for entry in ENTRIES))
    assert off.chain == load(tmp_path).chain
    assert off.policy == load(tmp_path).policy
    assert off.provenance == {}


def test_all_entries_together_differ_from_one_another_by_one_line_each(tmp_path):
    every = [entry for entry in ENTRIES if entry != "mgsm_string_match"]
    whole = load(tmp_path, *(f"authors_compat.{entry}=true" for entry in every), "chain.filter={}")
    assert (step(whole, "pair").one, whole.policy.double_bos) == ("last", True)
    without = load(tmp_path, *(f"authors_compat.{e}=true" for e in every if e != "double_bos"), "chain.filter={}")
    assert without.policy.double_bos is False
    assert without.chain == whole.chain


@pytest.mark.parametrize(
    ("entry", "contradiction", "message"),
    [
        (
            "last_language_only",
            "chain.pair.dominant_pairs=all",
            "chain[2].pair.dominant_pairs: all contradicts authors_compat.last_language_only, which sets one; take "
            "this out, or write last_language_only: false",
        ),
        ("repetition_check_off", "chain.filter.repetition={lines: 5}", "which sets nothing"),
        ("joint_drop_without_retry", "chain.translate.retry={times: 2}", "chain[1].translate.retry.times: 2"),
        ("translation_ids", "chain.pair.translation_type={ids: other.txt}", "other.txt contradicts"),
        ("translation_ids", "chain.pair.translation_type=null", "None contradicts"),
        ("double_bos", "policy.double_bos=false", "policy.double_bos: False contradicts authors_compat.double_bos"),
        ("repetition_penalties", "chain.generate.repetition_penalty=1.0", "1.0 contradicts"),
    ],
)
def test_a_field_that_contradicts_an_entry_is_refused(tmp_path, entry, contradiction, message):
    with pytest.raises(RecipeError, match=re.escape(message)):
        load(tmp_path, f"authors_compat.{entry}=true", contradiction)


def test_a_field_that_agrees_with_an_entry_keeps_its_own_provenance(tmp_path):
    given = "chain.pair.drop={value: joint, provenance: paper, source: page 3}"
    recipe = load(tmp_path, "authors_compat.joint_drop_without_retry=true", given)
    assert recipe.provenance["chain[2].pair.drop"].source == "page 3"


def test_an_entry_whose_step_the_chain_lacks_is_refused(tmp_path):
    text = GOOD.replace("  - pair\n  - filter: {duplicates: true}\n", "")
    with pytest.raises(
        RecipeError, match=r"authors_compat.translation_ids: needs the step pair, which the chain lacks"
    ):
        load(tmp_path, "authors_compat.translation_ids=true", text=text)


def test_a_problem_stands_where_the_contradicting_line_stands(tmp_path):
    text = GOOD.replace("  - pair\n", "  - pair:\n      drop: independent\n")
    text += "authors_compat: {joint_drop_without_retry: true}\n"
    with pytest.raises(RecipeError, match=r"r.yaml:11:7 chain\[2\].pair.drop: independent contradicts"):
        load(tmp_path, text=text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("authors_compat: {drop: true}\n", 'unknown key "drop"'),
        ("authors_compat: {double_bos: perhaps}\n", "authors_compat.double_bos: found"),
        ("authors_compat: all\n", "authors_compat: found"),
    ],
)
def test_a_malformed_block_is_said(tmp_path, text, message):
    with pytest.raises(RecipeError, match=re.escape(message)):
        load(tmp_path, text=GOOD + text)


def test_the_88_ids_are_shipped_and_are_those_of_the_authors(data_folder):
    def ids(path: Path) -> list[str]:
        lines = path.read_text(encoding="utf-8").splitlines()
        return [line.strip() for line in lines if line.strip() and not line.startswith("#")]

    ours = ids(shared("recipes") / "data" / Path(AUTHORS_IDS).name)
    assert len(ours) == len(set(ours)) == 88
    assert ours == ids(data_folder / "alpagasus" / "translation_type_ids.txt")


def test_a_second_bos_needs_an_engine_that_sends_ids(tmp_path):
    with pytest.raises(RecipeError, match=r"policy.double_bos needs an engine that sends token ids"):
        load(tmp_path, "policy={model: 'openai:m@http://x/v1', double_bos: true}", "runtime.engine=openai")
