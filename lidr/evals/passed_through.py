"""Tasks that lm-eval scores itself, the alignment tax: its numbers as they are, in lidr's results."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from lidr.evals.results import DataFacts, Results, Score, TaskResult, read_scores
from lidr.evals.spec import EvalSpec, TaskSpec

BENCHMARK = "tax"


class PassedThrough(NamedTuple):
    """Tasks with lm-eval's scores, and a value for each item and metric (rows of SCORES)."""

    tasks: tuple[TaskResult, ...] = ()
    rows: tuple[dict[str, Any], ...] = ()


def run_tax(lm: Any, spec: EvalSpec) -> dict[str, Any]:
    """Let lm-eval ask and score its tasks of the suite; runs in the worker process.

    As lm-eval publishes them: no chat template, no examples.
    """
    from lm_eval.evaluator import simple_evaluate

    from lidr.evals.alignment_tax import items_from_lm_eval, scores_from_lm_eval, tax_manager

    names = [task.task for task in spec.tasks if task.benchmark == BENCHMARK]
    if not names:
        return {}
    found = simple_evaluate(
        model=lm,
        tasks=names,
        task_manager=tax_manager(),
        limit=spec.limit,
        log_samples=True,
        bootstrap_iters=1,  # 0 gives no standard errors; those of means draw nothing
        use_cache=str(Path(spec.work) / "tax"),
    )
    assert found is not None  # one process: this is rank 0
    return {
        name: {
            "scores": {key: score.model_dump() for key, score in scores_from_lm_eval(found, name).items()},
            "items": items_from_lm_eval(found, name),
            "rows": int(found["n-samples"][name]["original"]),
            "data": "/".join(str(found["configs"][name].get(key) or "") for key in ("dataset_path", "dataset_name")),
            "version": str(found["versions"][name]),
            "shots": int(found["n-shot"][name]),
        }
        for name in names
    }


def passed_through(tasks: tuple[TaskSpec, ...], found: Mapping[str, Mapping[str, Any]]) -> PassedThrough:
    """What `run_tax` returned, as results."""
    results, rows = [], []
    for task in (task for task in tasks if task.task in found):
        raw = found[task.task]
        place = {"task": task.task, "benchmark": BENCHMARK, "language": task.language}
        rows += [
            {**place, "item": item, "metric": metric, "value": value}
            for item, metrics in raw["items"].items()
            for metric, value in metrics.items()
        ]
        items = hashlib.sha256("\n".join(raw["items"]).encode()).hexdigest()
        form = hashlib.sha256(f"{task.task} version {raw['version']}".encode()).hexdigest()
        results.append(
            TaskResult(
                task=task.task,
                benchmark=BENCHMARK,
                variant=task.variant,
                language=task.language,
                data=DataFacts(source=raw["data"].strip("/"), sha256=items, rows=raw["rows"], asked=len(raw["items"])),
                prompt_sha256=form,
                generation={"num_fewshot": raw["shots"], "chat_template": False},
                scores={name: Score(**score) for name, score in raw["scores"].items()},
            )
        )
    return PassedThrough(tuple(results), tuple(rows))


def kept_through(folder: Path, results: Results) -> PassedThrough:
    """What a results folder holds of them already."""
    tasks = results.of(BENCHMARK)
    rows = [row for row in read_scores(folder).to_pylist() if row["benchmark"] == BENCHMARK] if tasks else []
    return PassedThrough(tasks, tuple(rows))


NOTHING_THROUGH = PassedThrough()
"""No such task was asked."""
