"""The detector in the pair step."""

from __future__ import annotations

import re

import polars as pl
import pytest

import lidr
from lidr.errors import PlanError, RecipeError, RowError
from lidr.steps.pair.language_bound_prompts import read_rules
from tests.scripted import write_world
from tests.steps.helpers import record_of, rows_of

LIST = """\
language: en
rules:
  - {name: rain, class: translation, score: 1.0, pattern: 'about rain'}
  - {name: bread, class: verse, score: 0.9, pattern: 'about bread'}
  - {name: tell, class: grammar, score: 0.2, pattern: 'tell me'}
"""


def world(folder, text=LIST):
    recipe = write_world(folder)
    (folder / "rules").mkdir()
    (folder / "rules" / "en.yaml").write_text(text, encoding="utf-8")
    return recipe


def detector(folder, more: str = "", policy: str = "keep_source", ids: str = "") -> str:
    listed = f", ids: {ids}" if ids else ""
    return f"chain.pair.translation_type={{policy: {policy}{listed}, detector: {{rules: {folder}/rules{more}}}}}"


def test_a_prompt_that_is_found_is_sent_to_its_policy_and_the_hits_are_counted(tmp_path):
    recipe, setting = world(tmp_path), detector(tmp_path, ", policies: {verse: skip}")
    rows = rows_of(recipe, "iter_1/pair", setting)
    others = rows.filter(kind="non_dominant")
    assert set(others.filter(prompt_id="p1")["chosen_text"]) == {"rain in English at length."}  # keep_source
    assert others.filter(prompt_id="p2").is_empty()  # skip
    assert set(others.filter(prompt_id="p0")["chosen_key"]) == {"p0/en->es", "p0/en->de"}  # as any other
    assert rows.filter(kind="dominant").height == 8
    counts = record_of(recipe, "iter_1/pair", setting).counts
    assert counts["language_bound"] == {
        "sent_to": {"keep_source": 1, "skip": 1},
        "hits": {"rain": 1, "bread": 1, "tell": 4},
    }
    assert {row["reason"] for row in counts["not_requested"]} == {"translation_type: skip"}
    assert sum(row["count"] for name in ("kept", "dropped", "not_requested") for row in counts[name]) == 16


def test_the_threshold_decides(tmp_path):
    setting = detector(tmp_path, ", threshold: 0.95", policy="skip")
    rows = rows_of(world(tmp_path), "iter_1/pair", setting).filter(kind="non_dominant")
    assert sorted(rows["prompt_id"].unique()) == ["p0", "p2", "p3"]


def test_for_a_prompt_that_the_list_of_ids_names_the_lists_policy_holds(tmp_path):
    recipe = world(tmp_path)
    (tmp_path / "ids.txt").write_text("p2\n")
    setting = detector(tmp_path, ", policies: {verse: skip, translation: skip}", ids=str(tmp_path / "ids.txt"))
    rows = rows_of(recipe, "iter_1/pair", setting).filter(kind="non_dominant")
    assert set(rows.filter(prompt_id="p2")["chosen_text"]) == {"bread in English at length."}
    assert "p1" not in set(rows["prompt_id"])


def test_the_rules_are_identity_by_their_content(tmp_path):
    recipe = world(tmp_path)

    def fingerprint():
        planned = lidr.plan(lidr.load_recipe(recipe, overrides=[detector(tmp_path)]))
        return next(step.fingerprint for step in planned.steps if step.name == "pair")

    first = fingerprint()
    (tmp_path / "rules" / "en.yaml").write_text(LIST.replace("about rain", "about tea"))
    assert fingerprint() != first


def test_the_shipped_lists_are_found_by_default(tmp_path):
    rows = rows_of(write_world(tmp_path), "iter_1/pair", "chain.pair.translation_type={policy: skip, detector: {}}")
    assert rows.height == 16


def test_a_recipe_must_say_which_prompts(tmp_path):
    with pytest.raises(RecipeError, match=r"say which prompts: ids .*, or detector, or both"):
        lidr.load_recipe(write_world(tmp_path), overrides=["chain.pair.translation_type={policy: skip}"])


def test_a_dominant_language_without_a_list_is_refused(tmp_path):
    recipe = lidr.load_recipe(
        world(tmp_path), overrides=[detector(tmp_path), "languages={dominant: es, others: [en, de]}"]
    )
    with pytest.raises(PlanError, match=r"no list of rules for es in .*rules \(there: en\); write es.yaml"):
        lidr.plan(recipe)


def test_rules_in_real_data_that_are_not_here_are_said(tmp_path, monkeypatch):
    monkeypatch.delenv("LIDR_DATA", raising=False)
    setting = "chain.pair.translation_type={detector: {rules: $LIDR_DATA/rules}}"
    planned = lidr.plan(lidr.load_recipe(write_world(tmp_path), overrides=[setting]))
    step = next(step for step in planned.steps if step.name == "pair")
    where = "pair.translation_type.detector.rules: $LIDR_DATA/rules"
    assert step.why == (f"{where}: set LIDR_DATA to the folder that holds it, or give --data",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rules: [", "en.yaml: not YAML"),
        ("language: en\nrules: []\n", "en.yaml: rules: "),
        (LIST.replace("score: 0.9", "score: 9"), "en.yaml: rules.1.score: "),
        (LIST.replace("verse", "opera"), "en.yaml: rules.1.class: "),
        (LIST.replace("name: bread", "name: rain"), "the rule rain stands twice"),
    ],
)
def test_a_damaged_list_is_named(tmp_path, text, message):
    world(tmp_path, text)
    with pytest.raises(RowError, match=re.escape(message)):
        read_rules(tmp_path / "rules" / "en.yaml")


def test_the_step_reports_what_was_dropped_against_what_was_kept(tmp_path):
    from tests.scripted import write_answers

    recipe = write_world(tmp_path)
    cut = {"match": "into Spanish.*at length", "text": "cut", "finish_reason": "length"}
    write_answers(tmp_path / "answers.jsonl", first=(cut,))
    dropped = rows_of(recipe, "iter_1/pair", part="dropped")
    assert dropped.height == 8  # joint: both kinds in es
    report = record_of(recipe, "iter_1/pair").counts["selection"]
    assert (report["slots"], report["dropped"]) == (16, 8)
    assert report["language"] == [
        {"name": "de", "slots": 8, "dropped": 0, "share": 0.0},
        {"name": "es", "slots": 8, "dropped": 8, "share": 1.0},
    ]
    assert [row["slots"] for row in report["prompt_kind"]] == [16]
    assert sum(row["slots"] for row in report["length"]) == 16


def test_small_batches_report_the_same(tmp_path, monkeypatch):
    from lidr.steps.pair import pair_step

    recipe, setting = world(tmp_path), detector(tmp_path)
    rows_of(recipe, "iter_1/pair", setting)
    whole = record_of(recipe, "iter_1/pair", setting).counts
    monkeypatch.setattr(pair_step, "PROMPTS_PER_BATCH", 1)
    again = ("version=0.2.0", "seed=43")
    rows_of(recipe, "iter_1/pair", setting, *again)
    batched = record_of(recipe, "iter_1/pair", setting, *again).counts
    assert {k: batched[k] for k in ("language_bound", "selection")} == {
        k: whole[k] for k in ("language_bound", "selection")
    }


def test_real_prompts_go_through_the_step_as_they_were_measured(data_folder, tmp_path):
    """17 of the authors' 88 ids are among the 2,000; the detector alone finds them all."""
    from lidr.steps.pair.language_bound_prompts import Detector, rules_file
    from lidr.steps.prompts.prompt_table import read_prompts
    from lidr.transforms.language_bound import detect

    rules = read_rules(rules_file(Detector(), "en", tmp_path))
    prompts = read_prompts(data_folder / "alpagasus", ["en"])
    found = pl.concat([prompts, detect(prompts["text"], rules, threshold=0.8)], how="horizontal")
    ids = set((data_folder / "alpagasus" / "translation_type_ids.txt").read_text().split())
    listed = found.filter(pl.col("prompt_id").is_in(list(ids)))
    assert listed.height == 17
    assert listed["classes"].list.contains("translation").all()
