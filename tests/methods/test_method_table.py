"""The table of methods: its cells are recipes, what is published is what was measured, and what was not run says so."""

from __future__ import annotations

from pathlib import Path

import pytest

import lidr
from lidr.resources import shared
from lidr.steps import STEPS
from lidr.steps.score.classifier import handle
from tests.methods.cells import (
    CELLS,
    CONTROL,
    METHODS,
    WORLDS,
    N,
    base_of,
    english_pairs,
    overrides,
    train_reward_model,
)
from tests.methods.method_proof import prove, read
from tests.methods.method_table import PAGE, PICTURE, cells, picture, table, written

ONE = {
    "accuracy": {"0": {"en": 0.98, "de": 0.5, "es": 0.6}, "2": {"en": 0.97, "de": 0.8, "es": 0.7}},
    "others": [0.2, 0.15, 0.25],
    "against_lidr": [-0.1, -0.15, -0.05],
    "pairs": [700, 300],
    "tokens": {"answers": 90_000, "translations": 2_000},
    "reward_accuracy": {"de": [0.9, 0.8, 0.95], "es": [None, None, None]},
}


@pytest.mark.parametrize(("world", "method"), CELLS, ids=map("/".join, CELLS))
def test_every_cell_is_a_recipe_in_which_each_step_finds_what_it_reads(world, method, tmp_path):
    words = overrides(world, method, rows=tmp_path, tuned=tmp_path, reward=tmp_path)
    recipe = lidr.load_recipe(shared("recipes") / "miniature.yaml", overrides=words)
    made = {"prompts", "policy"}
    for step in recipe.chain:
        kind = STEPS[step.name]
        assert {rows.name for rows in (*kind.reads, *kind.also_reads(step.config))} <= made
        made.add(kind.writes.name)
    trained = [step.config for step in recipe.chain if step.name == "train"]
    assert [one.model_dump() for one in trained] == [trained[0].model_dump()]
    asked = next(step.config for step in recipe.chain if step.name == "generate")
    assert asked.n == (1 if method == "lidr" else N)


def test_all_methods_have_one_loss_one_filter_and_one_evaluation():
    def ends(method: str) -> list[str]:
        words = overrides("skewed-1", method, rows=Path("/r"), tuned=Path("/t"), reward=Path("/w"))
        recipe = lidr.load_recipe(shared("recipes") / "miniature.yaml", overrides=words)
        return [f"{step.name} {step.config!r}" for step in recipe.chain[-4:]]

    assert all(ends(method) == ends("lidr") for method in METHODS)


def test_the_pairs_that_tune_are_english_and_right_against_wrong():
    first = english_pairs("skewed-1", 20)
    assert first == english_pairs("skewed-1", 40)[:20]
    assert all(row["chosen"] != row["rejected"] and row["language"] == "en" for row in first)


def test_in_the_control_world_wrong_answers_are_as_often_too_low_as_too_high():
    plain, balanced = english_pairs("skewed-1", 400), english_pairs(CONTROL, 400)
    assert [row["chosen"] for row in plain] == [row["chosen"] for row in balanced]

    def too_high(rows: list[dict[str, str]]) -> int:
        return sum(int(row["rejected"].split()[-1]) > int(row["chosen"].split()[-1]) for row in rows)

    assert too_high(plain) == 400
    assert 200 <= too_high(balanced) <= 210
    assert base_of(CONTROL) == base_of("skewed-1")


def test_what_was_not_run_is_shown_as_such():
    found = table({"skewed-1/icr": ONE, "mild-1/calm": {"ended": "no pair"}})
    assert found.count("not run") == len(CELLS) - 2
    assert "| ICR | 0.980 -> 0.970 | 0.500 -> 0.800 | 0.600 -> 0.700 | +0.200 [+0.150, +0.250] |" in found
    assert "| 700 + 300 | 0.90 - | 92 |" in found
    assert "| CALM | ended |" in found
    texts = [shape.text for shape in picture({"skewed-1/icr": ONE}).shapes if hasattr(shape, "text")]
    assert texts.count("not run") == len(WORLDS) * len(METHODS) - 1


def test_the_page_and_the_picture_are_those_of_the_cells_that_were_run():
    page, drawn = written()
    how = "python -m tests.methods.method_table"
    assert PAGE.read_text(encoding="utf-8") == page, how
    assert PICTURE.read_text(encoding="utf-8") == drawn, how
    assert set(cells()) <= set(map("/".join, CELLS))


def test_a_cell_that_there_is_not_is_named():
    with pytest.raises(SystemExit, match=r"methods: no cell nowhere; a world, or a world and a method: skewed-1/lidr"):
        prove("methods:nowhere", {})
    assert read()["settings"]["n"] == N


def test_a_reward_model_of_the_miniature_is_one_that_the_scorer_reads(tmp_path):
    pairs = english_pairs("skewed-1", 8)
    train_reward_model(base_of("skewed-1"), pairs, tmp_path / "reward")
    sides = ("chosen", "rejected")
    talks = [
        (side, [{"role": "user", "content": pairs[0]["prompt"]}, {"role": "assistant", "content": pairs[0][side]}])
        for side in sides
    ]
    asked = {"model": str(tmp_path / "reward"), "asked": talks, "where": "reward", "label": 0, "max_length": 256}
    replies = handle({**asked, "engine": "transformers", "threads": 1, "dtype": "float32"})
    found = [one for reply in replies for one in reply["found"]]
    assert [key for key, _, _ in found] == [*sides]
    assert len({value for _, value, _ in found}) == 2
