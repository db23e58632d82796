"""What `evaluate` starts from: rows of the benchmarks, the files of a length control, who judges."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lidr import evals
from lidr.errors import EvaluationError, HubError, PlanError, RecipeError
from lidr.evals import JUDGED, TaskSpec, task_specs
from lidr.hub import DATASETS
from lidr.recipe import Recipe
from lidr.resources import resolve_source
from lidr.steps.answering import budget_identity, vllm_identity
from lidr.steps.evaluate.evaluate_config import EvaluateConfig
from lidr.steps.evaluate.step_judge import check_judge, judge_identity
from lidr.steps.local_policy import check_window
from lidr.steps.step_kind import Surroundings, Unresolved


def tasks_of(config: EvaluateConfig, recipe: Recipe) -> tuple[TaskSpec, ...]:
    """The tasks of lm-eval: each benchmark in each language.

    Raises:
        EvaluationError: a benchmark has no such language.
    """
    return task_specs(config.tasks, config.languages or recipe.languages.all, config.variant)


def data_of(config: EvaluateConfig, around: Surroundings) -> str | None:
    """The first source that is there; None where the rows come from where they are published."""
    for text in config.data:
        path = resolve_source(text, around.recipe_folder)
        if path is not None and path.is_dir():
            return str(path.resolve())
        if "$" not in text and "@" in text:
            return text
        if path is None and text == config.data[-1] and set(config.tasks) == {"x_alpacaeval"}:
            return None
        if path is None and text == config.data[-1]:
            raise Unresolved(f"evaluate.data: {text}: set LIDR_DATA to the folder that holds it, or give --data FOLDER")
    raise PlanError(
        f"evaluate.data: none of {', '.join(config.data)} is there; give a folder with mgsm/LANG.jsonl or "
        "word_problems/LANG.jsonl (and x_alpacaeval/ or open_instructions/), or org/name@COMMIT of a Hub data set"
    )


def length_control_of(around: Surroundings, config: EvaluateConfig) -> str:
    """Where version 1's two files are read: a folder, or org/name@COMMIT."""
    for hub in config.datasets:
        return f"{hub.repo.removeprefix(DATASETS)}@{around.commit_of(hub)}"
    folder = resolve_source(str(config.length_control), around.recipe_folder)
    return str(folder)


def outside_evaluate(around: Surroundings, config: EvaluateConfig) -> dict[str, Any]:
    """Digests of the rows, and who judges."""
    check_window(around, "evaluate.max_tokens", config.max_tokens)
    data = data_of(config, around)
    tasks = tasks_of(config, around.recipe)
    try:
        found, problems = evals.read_each(tasks, evals.load_rows, data)
    except HubError as error:
        if data is not None:
            raise
        raise Unresolved(f"evaluate.data: {error}; or set LIDR_DATA") from None
    if problems:
        raise EvaluationError("\n".join(problems))
    rows = {task.task: [loaded.facts.sha256, loaded.facts.reference_sha256 or ""] for task, loaded in found.items()}
    judge = judge_identity(around, config.judge) if config.judge and set(config.tasks) & set(JUDGED) else None
    control = _length_control_identity(around, config, found)
    told = vllm_identity(around) | budget_identity(around)
    return {"rows": rows, "judge": judge, **told, **({"length_control": control} if control else {})}


def _length_control_identity(
    around: Surroundings, config: EvaluateConfig, loaded: Mapping[TaskSpec, evals.Loaded]
) -> str | None:
    """What fixes version 1's two files; refused where the rows are not AlpacaEval's own."""
    if config.length_control is None:
        return None
    rows = next(
        (one for task, one in loaded.items() if (task.benchmark, task.language) == ("x_alpacaeval", "en")), None
    )
    problems = ["en is none of the recipe's languages"]
    if rows is not None:
        problems = evals.unlike_alpaca_eval(rows.facts.reference, [row["instruction"] for row in rows.rows])
    if problems:
        raise PlanError(
            f"evaluate.length_control: {'; '.join(problems)}. AlpacaEval's version 1 stands for its own setting alone: "
            "take length_control out; lc_win_rate holds for any language and reference"
        )
    place = length_control_of(around, config)
    if config.datasets:
        return place
    return evals.read_length_control(place).sha256


def check_rows_and_judge(around: Surroundings, config: EvaluateConfig) -> None:
    """Look for rows in every language, those of a folder, and what is known of those that lie on a Hub; and for who
    judges them.

    Raises:
        RecipeError: rows are not there, or are none; all of them at once.
        PlanError: there is no such folder, the judge is not pinned or not here, or answers may be as long as all that
            the policy can hold.
        Unresolved: the folder depends on LIDR_DATA, which is not set; a data set is not locked.
    """
    if config.judge is not None and set(config.tasks) & set(JUDGED):
        check_judge(around.recipe, config.judge)
    check_window(around, "evaluate.max_tokens", config.max_tokens)
    data = data_of(config, around)
    _, problems = evals.read_each(tasks_of(config, around.recipe), evals.check_rows, data)
    if problems:
        raise RecipeError(problems)
    for hub in config.datasets:
        around.commit_of(hub)


def notes_evaluate(recipe: Recipe, config: EvaluateConfig) -> Iterator[str]:
    """What nobody judges, and who judges nothing."""
    if config.judge is None and "x_alpacaeval" in config.tasks:
        yield (
            "evaluate.judge: missing: the answers to X-AlpacaEval are kept and get no win rate. Name a judge, judge "
            "them later with `lidr eval judge`, or take x_alpacaeval out of tasks"
        )
    if config.judge is not None and not set(config.tasks) & set(JUDGED):
        yield f"evaluate.judge: it is asked nothing: of the benchmarks it judges {', '.join(JUDGED)} alone. See tasks"
