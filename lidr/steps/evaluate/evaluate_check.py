"""Whether all is there that a recipe's `evaluate` starts from, for people who ask before a run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

from lidr.engines import engine_row
from lidr.errors import EvaluationError, LidrError, PlanError
from lidr.evals import JUDGED, harness
from lidr.extras import has, require
from lidr.recipe import Recipe
from lidr.steps.evaluate.evaluate_config import JudgeConfig
from lidr.steps.evaluate.evaluate_inputs import data_of, outside_evaluate
from lidr.steps.evaluate.step_judge import judge_identity, judged_alone, meet_server
from lidr.steps.step_kind import Surroundings, Unresolved

if TYPE_CHECKING:
    from lidr.evals.harness import CheckedTask


def check_evaluate(around: Surroundings, say: Callable[[str], None] = lambda text: None) -> tuple[CheckedTask, ...]:
    """Look for all that the recipe's evaluate step starts from: packages, rows, prompts, judge. Nothing is generated.

    Raises:
        PlanError: the recipe has no such step.
        EvaluationError: every problem found, one a line.
    """
    recipe = around.recipe
    found: list[CheckedTask] = []
    config = next((step.config for step in recipe.chain if step.name == "evaluate"), None)
    if config is None:
        raise PlanError("chain: there is no evaluate step, so nothing is needed for one: add `- evaluate: {}`")

    def build() -> None:
        languages = config.languages or recipe.languages.all
        found.extend(harness.check(config.tasks, languages, variant=config.variant, data=data_of(config, around)))

    asks = bool(set(config.tasks) & set(JUDGED))
    needed = _packages(recipe, config.judge if asks else None)
    looks: list[Callable[[], object]] = [partial(require, *what, needed_for=why) for what, why in needed]
    looks += [partial(outside_evaluate, around, config), *([build] if has("lm_eval") else [])]
    if config.judge and asks:
        looks += [partial(judge_identity, around, config.judge), partial(meet_server, config.judge)]
    elif asks:
        say("no judge: X-AlpacaEval answers stay unjudged; judge them later with `lidr eval judge`")
    problems = [line for look in looks for line in _refusal(look)]
    if problems:
        raise EvaluationError("\n".join(dict.fromkeys(problems)))
    return tuple(found)


def _refusal(look: Callable[[], object]) -> list[str]:
    try:
        look()
    except (LidrError, Unresolved, OSError) as error:
        return str(error).split("\n")
    return []


def _packages(recipe: Recipe, judge: JudgeConfig | None) -> Iterator[tuple[tuple[str, tuple[str, ...]], str]]:
    """Extra and packages, and what needs them."""
    row = engine_row(recipe.runtime.engine)
    yield ("eval", ("lm_eval",)), "evaluation"
    yield (row.extra, row.packages), f"the engine {row.name!r}"
    if recipe.runtime.replicas != 1:
        yield ("ray", ("ray",)), f"runtime.replicas: {recipe.runtime.replicas}"
    if judge and not list(judged_alone(judge)):
        if not row.judge:  # else the same engine serves it
            yield (engine_row("transformers").extra, engine_row("transformers").packages), "a local judge"
        yield ("eval", ("starlette", "uvicorn")), "a local judge"
