"""Ablations by one line of the recipe: each leaves the account of slots whole, and each is another identity."""

from __future__ import annotations

import pytest

import lidr
from lidr.errors import PlanError, RecipeError
from lidr.steps.train import TrainConfig, also_read_train, identity_train
from tests.scripted import RECIPE, write_world
from tests.steps.helpers import record_of, rows_of

TRAINED = RECIPE.replace(
    "iterations:", "  - train: {{learning_rate: 1e-5, batch: 8, reference: initial}}\niterations:"
).replace('"openai:canned@http://127.0.0.1:9"', "org/name, revision: " + "12e4" * 10)


def fingerprints(recipe_file, *overrides: str) -> dict[str, str | None]:
    planned = lidr.plan(lidr.load_recipe(recipe_file, overrides=["iterations=[{prompts: '0:4'}]", *overrides]))
    return {step.name: step.fingerprint for step in planned.steps}


def account(recipe_file, *overrides: str) -> int:
    """Kept, dropped and not requested over pair and filter."""
    pair, filtered = (record_of(recipe_file, f"iter_1/{name}", *overrides).counts for name in ("pair", "filter"))
    lost = [*pair["dropped"], *pair["not_requested"], *filtered["dropped"]]
    return sum(row["count"] for row in [*filtered["kept"], *lost])


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        ("chain.filter.only={languages: [de]}", {("de", "dominant"), ("de", "non_dominant")}),
        ("chain.filter.only={kinds: [non_dominant]}", {("de", "non_dominant"), ("es", "non_dominant")}),
        ("chain.filter.only={languages: [es], kinds: [dominant]}", {("es", "dominant")}),
        ("chain.pair.dominant_pairs=none", {("de", "non_dominant"), ("es", "non_dominant")}),
    ],
)
def test_what_an_ablation_leaves_out_is_accounted_for(tmp_path, line, kept):
    recipe = write_world(tmp_path)
    rows = rows_of(recipe, "iter_1/filter", line)
    found = {
        (row["other_language"] if row["kind"] == "dominant" else row["language"], row["kind"])
        for row in rows.iter_rows(named=True)
    }
    assert found == kept
    assert account(recipe, line) == 2 * 4 * 2


def test_a_pair_that_an_ablation_leaves_out_says_so(tmp_path):
    line = "chain.filter.only={languages: [de], kinds: [non_dominant]}"
    dropped = rows_of(write_world(tmp_path), "iter_1/filter", line, part="dropped")
    assert set(dropped["reason"]) == {"only"}
    assert set(dropped["detail"]) == {
        "de, dominant; only de and non_dominant",
        "es, dominant; only de and non_dominant",
        "es, non_dominant; only de and non_dominant",
    }


def test_a_language_without_pairs_is_refused_before_anything_runs(tmp_path):
    recipe = lidr.load_recipe(write_world(tmp_path), overrides=["chain.filter.only={languages: [fr]}"])
    with pytest.raises(PlanError, match=r"filter.only.languages: fr: no pairs are made with it; .* es, de"):
        lidr.plan(recipe)
    with pytest.raises(RecipeError, match="name languages or kinds, or take `only` out"):
        lidr.load_recipe(write_world(tmp_path / "w"), overrides=["chain.filter.only={}"])


def test_the_last_language_alone_gives_the_pairs_that_the_authors_overwritten_file_holds(tmp_path):
    line = "authors_compat.last_language_only=true"
    rows = rows_of(write_world(tmp_path), "iter_1/pair", line)
    dominant = rows.filter(kind="dominant")
    assert (set(dominant["other_language"]), dominant.height) == ({"de"}, 4)
    assert rows.filter(kind="non_dominant").height == 8
    counts = record_of(tmp_path / "recipe.yaml", "iter_1/pair", line).counts
    assert counts["not_requested"] == [
        {"language": "es", "kind": "dominant", "reason": "dominant_pairs: one", "count": 4}
    ]


@pytest.mark.parametrize("sides", ["swapped", "shuffled"])
def test_a_control_shares_all_its_data_with_the_run_that_it_controls(tmp_path, sides):
    recipe = write_world(tmp_path, TRAINED)
    plain, control = fingerprints(recipe), fingerprints(recipe, f"chain.train.sides={sides}")
    assert [name for name in plain if plain[name] != control[name]] == ["train"]


def test_sft_is_one_line_and_another_identity(tmp_path):
    recipe = write_world(tmp_path, TRAINED)
    plain, sft = fingerprints(recipe), fingerprints(recipe, "chain.train.method=sft")
    assert [name for name in plain if plain[name] != sft[name]] == ["train"]


def test_what_says_nothing_under_sft_is_no_identity():
    def identity(**settings):
        return identity_train(TrainConfig(learning_rate=1e-5, batch=8, method="sft", **settings))

    base = identity()
    assert identity(beta=0.5, reference="initial", nll={"weight": 0.3}) == base
    assert identity(nll={"per": "batch"}) != base
    assert identity(sides="swapped") != base
    assert also_read_train(TrainConfig(learning_rate=1e-5, batch=8, method="sft", reference="initial")) == ()


def test_a_second_bos_changes_answers_translations_and_training_and_nothing_before(tmp_path):
    recipe = write_world(tmp_path, TRAINED)
    plain, doubled = fingerprints(recipe), fingerprints(recipe, "policy.double_bos=true")
    assert {name for name in plain if plain[name] == doubled[name]} == {"policy", "prompts"}


def test_a_recipe_without_the_new_settings_keeps_its_identity():
    from lidr.steps import STEPS

    configs = {
        "translate": {"max_tokens": 8},
        "pair": {"translation_type": {"ids": "x.txt"}},
        "filter": {},
        "train": {"learning_rate": 1e-5, "batch": 8},
    }
    for name, settings in configs.items():
        identity = STEPS[name].identity(STEPS[name].config(**settings))
        assert not identity.keys() & {"by", "one", "only", "method", "sides"}, name
    assert STEPS["pair"].identity(STEPS["pair"].config(**configs["pair"]))["translation_type"] == {
        "policy": "keep_source"
    }


def test_a_policy_of_sft_is_shown_without_the_numbers_that_it_has_not():
    from types import SimpleNamespace

    from lidr.release.cards.card_tables import training_table

    counts = {"pairs": 8, "loss": 1.5, "dpo": None, "nll": 1.5, "margin": None, "accuracy": None}
    shown = training_table([SimpleNamespace(place="iter_1/train", counts=counts)])
    assert "| iter_1/train | 8 | 1.5000 | - | 1.5000 | - | - |" in " ".join(shown.split())
