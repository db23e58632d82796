"""What a policy thought is published by the recipe's word alone."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from lidr.release.dataset_release import stage_dataset
from lidr.release.finished import Finished
from tests.publishing import finished
from tests.scripted import RECIPE, write_world

THOUGHT = "THOUGHT: what of it?"


def thinking_world(folder: Path, said: str) -> Finished:
    text = RECIPE.replace('9"}}', f'9", reasoning: {{{{{said}}}}}}}}}')
    recipe_file = write_world(folder, text)
    answers = folder / "answers.jsonl"
    rules = [json.loads(line) for line in answers.read_text(encoding="utf-8").splitlines()]
    lines = "".join(json.dumps({**rule, "reasoning": THOUGHT}) + "\n" for rule in rules)
    answers.write_text(lines, encoding="utf-8")
    return finished(recipe_file)


@pytest.mark.parametrize("publish", [True, False])
def test_thoughts_are_published_by_the_recipes_word_alone(tmp_path: Path, publish: bool) -> None:
    run = thinking_world(tmp_path / "world", f"train: true, publish: {str(publish).lower()}")
    folder = tmp_path / "staged"
    staged = stage_dataset(run, folder, "lidr/scripted-prefs")
    candidates = pl.read_parquet(folder / "candidates/iter_1-*.parquet")
    pairs = pl.read_parquet(folder / "all/iter_1-*.parquet")
    assert ("reasoning" in candidates.columns) is publish
    assert ("chosen_reasoning" in pairs.columns) is publish
    texts = [path for path in folder.rglob("*") if path.suffix in (".json", ".md", ".yaml")]
    in_texts = [path.name for path in texts if THOUGHT in path.read_text(encoding="utf-8")]
    in_tables = [path.name for path in folder.rglob("*.parquet") if THOUGHT in str(pl.read_parquet(path).to_dicts())]
    card = staged.card(None)
    assert "Before 24 of its answers the policy thought." in card
    if publish:
        assert set(candidates["reasoning"]) == {THOUGHT}
        assert "stand in the column `reasoning` of `candidates`. Training saw them, too." in card
    else:
        assert in_texts + in_tables == []
        assert "are no part of this release" in card


def test_a_card_of_a_policy_that_does_not_think_says_nothing_of_it(world: Finished, tmp_path: Path) -> None:
    staged = stage_dataset(world, tmp_path / "staged", "lidr/scripted-prefs")
    assert "thought" not in staged.card(None)
