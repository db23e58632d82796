"""Answers and verdicts -> the three files of a results folder, by the benchmarks' own rules. Nothing is asked here.

Answers that a release holds are scored again by the same rules, without the benchmarks' texts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lidr.errors import EvaluationError
from lidr.evals import x_alpacaeval
from lidr.evals.alignment_tax import NOTHING_THROUGH, PassedThrough
from lidr.evals.benchmark_rows import Loaded
from lidr.evals.benchmarks import JUDGED, benchmark
from lidr.evals.judge import Verdict
from lidr.evals.results import (
    Declined,
    JudgeFacts,
    Results,
    Score,
    TaskResult,
    samples_table,
    scores_table,
    write_results,
)
from lidr.evals.spec import TaskSpec

if TYPE_CHECKING:
    import pyarrow as pa

    from lidr.evals.judge import Verdict


def write_scored(
    out: Path,
    shell: Results,
    generation: dict[str, Any],
    loaded: Mapping[str, Loaded],
    answers: Mapping[TaskSpec, Mapping[str, str]],
    verdicts: Mapping[str, Verdict],
    judge: JudgeFacts | None,
    through: PassedThrough = NOTHING_THROUGH,
) -> Results:
    """Score every answer by the benchmarks' own rules and write the three files of a results folder."""
    samples: list[dict[str, Any]] = []
    scores: list[dict[str, Any]] = list(through.rows)
    tasks = []
    for task, said in answers.items():
        module = benchmark(task.benchmark)
        rows = [row for row in loaded[task.task].rows if row["item"] in said]
        values = []
        for row in rows:
            item, response = row["item"], said[row["item"]]
            scored = module.score(row, response, language=task.language, verdict=verdicts.get(f"{task.task}/{item}"))
            values.append(scored.values)
            place = {"task": task.task, "benchmark": task.benchmark, "language": task.language, "item": item}
            prompt = module.prompt_of(row, task.language, task.variant)
            detail = {**scored.detail, **_declined(response)}
            samples.append({**place, "prompt": prompt, "response": str(response), "detail": detail})
            scores += [{**place, "metric": metric, "value": value} for metric, value in scored.values.items()]
        declined = Counter(text.reason for row in rows if isinstance(text := said[row["item"]], Declined))
        made = _task_result(task, loaded[task.task], len(rows), generation, judge, module.summarise(values))
        tasks.append(made.model_copy(update={"declined": dict(sorted(declined.items()))}))
    results = shell.model_copy(update={"tasks": (*tasks, *through.tasks)})
    write_results(out, results, samples_table(samples), scores_table(scores))
    return results


def _declined(response: str) -> dict[str, Any]:
    """Why an answer is none; it stands with the sample."""
    return {"declined": response.reason, "said": response.said} if isinstance(response, Declined) else {}


def _task_result(
    task: TaskSpec, found: Loaded, asked: int, generation: dict[str, Any], judge: JudgeFacts | None, scores: Any
) -> TaskResult:
    return TaskResult(
        task=task.task,
        benchmark=task.benchmark,
        variant=task.variant,
        language=task.language,
        data=found.facts.model_copy(update={"asked": asked}),
        rules=benchmark(task.benchmark).VERSION,
        gold=found.rows[0].get("gold_as", "number") if task.benchmark == "mgsm" else None,
        prompt_sha256=benchmark(task.benchmark).prompt_sha256(task.language, task.variant),
        generation=generation,
        judge=judge if task.benchmark in JUDGED else None,
        scores=scores,
    )


def score_again(
    tasks: Sequence[TaskResult], kept: Sequence[Mapping[str, Any]]
) -> tuple[pa.Table, dict[str, dict[str, Score]]]:
    """Score answers that a release holds, by the rules that this lidr has.

    Args:
        tasks: what was asked, as a record holds it.
        kept: rows of lidr.release.evaluation_outputs.

    Returns:
        The values of the items (rows of SCORES, task by task, in the order of `kept`), and task -> score -> number.

    Raises:
        EvaluationError: lm-eval scores a task by itself, or what the rules compare with was not kept.
    """
    scores: list[dict[str, Any]] = []
    summed = {}
    for task in tasks:
        if task.benchmark not in _NEEDS:
            raise EvaluationError(f"{task.task}: {task.benchmark} is scored by lm-eval and cannot be scored again")
        module = benchmark(task.benchmark)
        values = []
        for row in (row for row in kept if row["task"] == task.task):
            scored = module.score(_compared(row, task), row["response"], language=task.language, verdict=_verdict(row))
            values.append(scored.values)
            place = {"task": task.task, "benchmark": task.benchmark, "language": task.language, "item": row["item"]}
            scores += [{**place, "metric": metric, "value": value} for metric, value in scored.values.items()]
        summed[task.task] = module.summarise(values)
        if (task.benchmark, task.rules) == _STILL_KNOWN:
            summed[task.task]["lc_win_rate"] = x_alpacaeval.minimal_lc_win_rate(values)
    return scores_table(scores), summed


_STILL_KNOWN = ("x_alpacaeval", 1)
"""Rules of then by which answers are scored again: their values are today's, but for the fit of lc_win_rate."""

_NEEDS = {"mgsm": "gold", "x_alpacaeval": "reference_length"}
"""What the rules of a benchmark compare an answer with."""


def _compared(row: Mapping[str, Any], task: TaskResult) -> dict[str, Any]:
    need = _NEEDS[task.benchmark]
    if row[need] is None:
        raise EvaluationError(f"{task.task}: item {row['item']} has no {need}: evaluated by a lidr that kept none")
    return {"item": row["item"], need: row[need], "gold_as": task.gold or "number"}


def _verdict(row: Mapping[str, Any]) -> Verdict | None:
    return Verdict(row["item"], row["preference"]) if row["is_judged"] else None
