"""A results folder of answers that nobody generated, written as `lidr eval run` writes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from lidr.evals.benchmark_rows import load_rows
from lidr.evals.results import ModelFacts, Results
from lidr.evals.scoring import write_scored
from lidr.evals.spec import TaskSpec
from lidr.evals.x_alpacaeval.x_alpacaeval_task import task_name
from lidr.resources import shared

OWN = str(shared("recipes") / "prompts")


def answered(
    out: Path, name: str, answer: Callable[[Mapping[str, str], str], str], languages: list[str], *, limit: int = 16
) -> Path:
    """Write a folder with `answer(row, language)` as the response to each of our own open instructions."""
    tasks = [TaskSpec(task_name(language), "x_alpacaeval", "plain", language) for language in languages]
    loaded = {task.task: load_rows("x_alpacaeval", task.language, OWN) for task in tasks}
    answers = {
        task: {row["item"]: answer(row, task.language) for row in loaded[task.task].rows[:limit]} for task in tasks
    }
    shell = Results(
        name=name,
        model=ModelFacts(reference=name),
        engine={"kind": "outputs"},
        versions={},
        seeds={},
        created="2026-11-24T00:00:00+00:00",
        tasks=(),
    )
    write_scored(out, shell, {"max_tokens": 64}, loaded, answers, {}, None)
    return out
