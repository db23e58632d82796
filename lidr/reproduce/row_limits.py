"""How many rows a step of a release can have, by its recipe and its record: looked at before anything is read of them.

Whoever made the release wrote both. But a recipe says what a reproduction will ask, so nobody is taken by surprise.
"""

from __future__ import annotations

from collections.abc import Mapping

from lidr.recipe import Recipe
from lidr.release import MOST_ROWS
from lidr.store import Record

_OF_A_TASK = 1_000  # items of a benchmark in one language; MGSM has 250, X-AlpacaEval 805
_TASKS = 2
_METRICS = 16


def row_limits(recipe: Recipe, records: Mapping[str, Record]) -> dict[str, int]:
    """Place -> most rows of its table."""
    return {place: _limit(recipe, record) for place, record in records.items()}


def most_outputs(recipe: Recipe) -> int:
    """Answers of one evaluation."""
    return _OF_A_TASK * _TASKS * len(recipe.languages.all)


def most_dropped(recipe: Recipe, iteration: int) -> int:
    """Rows that all steps of an iteration can have dropped."""
    prompts = _prompts(recipe, iteration)
    return MOST_ROWS if prompts is None else prompts * 2 * len(recipe.languages.others) * (len(recipe.chain) + 3)


def _limit(recipe: Recipe, record: Record) -> int:
    said = [entry.rows for entry in record.files if entry.path.startswith("data/") and entry.rows is not None]
    most = min(sum(said), MOST_ROWS) if said else MOST_ROWS
    if record.writes == "scores":
        return min(most, most_outputs(recipe) * _METRICS)
    prompts, languages = _prompts(recipe, record.iteration), len(recipe.languages.all)
    if prompts is None:
        return most
    by_recipe = {
        "prompts": prompts * languages,
        "responses": prompts * languages * _answers_each(recipe),
        "translations": prompts * 2 * (languages - 1) * _answers_each(recipe),
        "prompt_translations": prompts * (languages - 1),
        "pairs": prompts * 2 * (languages - 1),
    }
    return min(most, by_recipe.get(record.writes, MOST_ROWS))


def _answers_each(recipe: Recipe) -> int:
    """How many answers each prompt gets."""
    return next((int(step.config.n) for step in recipe.chain if step.name == "generate"), 1)


def _prompts(recipe: Recipe, iteration: int) -> int | None:
    """How many prompts an iteration has; None where the recipe does not say."""
    if recipe.prompts is None or not 0 < iteration <= len(recipe.iterations):
        return None
    sliced = recipe.iterations[iteration - 1]
    return sliced.stop - sliced.start
