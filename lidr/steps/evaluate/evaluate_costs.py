"""What `evaluate` will ask of the policy and of a judge, for plans."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from lidr import evals
from lidr.errors import LidrError, PlanError
from lidr.evals import JUDGED
from lidr.recipe import Recipe
from lidr.steps.evaluate.evaluate_config import EvaluateConfig
from lidr.steps.evaluate.evaluate_inputs import data_of, tasks_of
from lidr.steps.evaluate.step_judge import beside_judge, judged_alone
from lidr.steps.step_kind import Beside, Expected, Scale, Surroundings, Unresolved, by_server

_ROWS = {"mgsm": 250, "x_alpacaeval": 805}  # without a limit, for plans


def expect_evaluate(config: EvaluateConfig, scale: Scale, rows: Mapping[str, int] | None = None) -> Expected:
    """Each row of each task once; comparisons come on top.

    Args:
        rows: benchmark -> its rows of all languages, of those that lie here; of others the usual number is taken.
    """
    languages = len(config.languages) or scale.languages
    most = {task: min(_ROWS[task], config.limit or 10**9) * languages for task in config.tasks} | dict(rows or {})
    count = sum(most.values())
    calls = _orders(config) * sum(number for task, number in most.items() if task in JUDGED)
    notes = [f"and at most {calls:,} calls of the judge"] if calls else []
    if rows is not None and (away := [task for task in config.tasks if task not in rows]):
        usual = ", ".join(f"{min(_ROWS[task], config.limit or 10**9)} of {task}" for task in away)
        notes.append(f"by the usual {usual} a language: its rows are not here")
    return Expected(count, "requests", count * config.max_tokens, "; ".join(notes), calls=calls)


def _orders(config: EvaluateConfig) -> int:
    """How often the judge is asked about an answer."""
    return 0 if config.judge is None else 2 if config.judge.mode == "logprob_swap" else 1


def count_evaluate(around: Surroundings, config: EvaluateConfig, scale: Scale) -> Expected:
    """As `expect_evaluate`, by the rows of a folder that is here."""
    rows: dict[str, int] = {}
    try:
        data = data_of(config, around)
    except (PlanError, Unresolved):
        data = None
    if data is not None and Path(data).is_dir():
        for name in config.tasks:
            tasks = [task for task in tasks_of(config, around.recipe) if task.benchmark == name]
            try:
                found = [evals.load_rows(name, task.language, data).facts.rows for task in tasks]
            except LidrError:  # the step itself says what is wrong with them
                continue
            rows[name] = sum(min(number, config.limit or number) for number in found)
    return expect_evaluate(config, scale, rows)


def beside_evaluate(recipe: Recipe, config: EvaluateConfig, expected: Expected) -> Iterator[Beside]:
    """What a judge says that is served here."""
    yield from beside_judge(recipe, "evaluate", config.judge, expected.calls)


def alone_evaluate(recipe: Recipe, config: EvaluateConfig) -> Iterator[tuple[str, str]]:
    """Of who answers and who judges, as of `StepKind`."""
    yield from by_server(recipe, "evaluate")
    if set(config.tasks) & set(JUDGED):
        yield from (("evaluate.judge", why) for why in judged_alone(config.judge))
