"""The alignment tax: what training costs elsewhere, by lm-eval's own multilingual MMLU, HellaSwag, ARC and TruthfulQA.

lidr passes through to the tasks that lm-eval ships (lm_eval/tasks/okapi, and the English originals): their prompts,
their data sets, their metrics, without examples unless `num_fewshot` says otherwise. Nothing is scored here.

    tax_tasks("de")   ('m_mmlu_de', 'hellaswag_de', 'arc_de', 'truthfulqa_de_mc1', 'truthfulqa_de_mc2')
    tax_tasks("zh")   without HellaSwag, which lm-eval does not have in Chinese

    from lm_eval.evaluator import simple_evaluate
    found = simple_evaluate(model="hf", model_args=..., tasks=list(tax_tasks("de")), task_manager=tax_manager())
    scores_from_lm_eval(found, "arc_de")["acc_norm"]
"""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from lidr.errors import EvaluationError, MissingExtraError
from lidr.evals.results import DataFacts, Results, Score, TaskResult, read_scores
from lidr.evals.spec import EvalSpec, TaskSpec

_FOLDERS = {
    "okapi/mmlu_multilingual": ("m_mmlu_{}",),
    "okapi/hellaswag_multilingual": ("hellaswag_{}",),
    "okapi/arc_multilingual": ("arc_{}",),
    "okapi/truthfulqa_multilingual": ("truthfulqa_{}_mc1", "truthfulqa_{}_mc2"),
}
"""Folder in lm_eval/tasks -> names of its tasks, which are the names of its files."""

_ENGLISH = {
    "okapi/mmlu_multilingual": ("m_mmlu_en",),
    "hellaswag": ("hellaswag",),
    "arc": ("arc_challenge",),
    "truthfulqa": ("truthfulqa_mc1", "truthfulqa_mc2"),
}
"""The originals that the others are translations of."""


def tax_tasks(language: str) -> tuple[str, ...]:
    """Names of lm-eval's tasks of the suite in one language; fewer where lm-eval lacks some.

    Raises:
        EvaluationError: lm-eval has none of them in this language; says in which it has all, and some.
        MissingExtraError: lm-eval is not installed.
    """
    found = _by_language().get(language)
    if found is None:
        whole = max(len(names) for names in _by_language().values())
        every = [code for code, names in _by_language().items() if len(names) == whole]
        some = [code for code, names in _by_language().items() if len(names) < whole]
        raise EvaluationError(
            f'the alignment tax cannot be measured in "{language}": lm-eval has neither MMLU, HellaSwag, ARC nor '
            f"TruthfulQA in it. All of them: {', '.join(every)}; some: {', '.join(some)}"
        )
    return found


@lru_cache(maxsize=1)
def _by_language() -> dict[str, tuple[str, ...]]:
    """Language -> its tasks, as the installed lm-eval has files for them."""
    found: dict[str, list[str]] = {"en": [name for names in _ENGLISH.values() for name in names]}
    for folder, patterns in _FOLDERS.items():
        files = {path.stem for path in (_tasks() / folder).glob("*.yaml")}
        for pattern in patterns:
            before, after = pattern.split("{}")
            for name in sorted(files):
                code = name.removeprefix(before).removesuffix(after)
                if name == pattern.format(code) and code != "en" and len(code) == 2:
                    found.setdefault(code, []).append(name)
    return {code: tuple(names) for code, names in sorted(found.items())}


def _tasks() -> Path:
    spec = importlib.util.find_spec("lm_eval")
    if spec is None or spec.origin is None:
        raise MissingExtraError("eval", needed_for="the alignment tax", missing="lm_eval")
    return Path(spec.origin).parent / "tasks"


def tax_manager(metadata: Mapping[str, Any] | None = None) -> Any:
    """lm-eval's finder of tasks with those of the suite alone: quick, where reading all takes half a minute."""
    folders = sorted({str(_tasks() / folder) for folder in (*_FOLDERS, *_ENGLISH)})
    from lm_eval.tasks import TaskManager

    return TaskManager(include_path=folders, include_defaults=False, metadata=dict(metadata) if metadata else None)


def scores_from_lm_eval(found: Mapping[str, Any], task: str) -> dict[str, Score]:
    """The scores of one task, 0-1, by the names of its metrics (acc, acc_norm).

    Args:
        found: what lm-eval's `simple_evaluate` returns, or its results file. The standard errors are there when it ran
            with `bootstrap_iters` above 0; for means, as here, it draws nothing.
        task: as tax_tasks names it.

    Raises:
        EvaluationError: the task is not in it.
    """
    results = found.get("results", {})
    if task not in results:
        raise EvaluationError(
            f"lm-eval's results have no task {task}; they have: {', '.join(sorted(results)) or 'none'}"
        )
    asked = int(found["n-samples"][task]["effective"])
    metrics = {
        name.partition(",")[0]: value
        for name, value in results[task].items()
        if name.endswith(",none") and not name.endswith("_stderr,none")
    }
    return {name: _score(value, results[task].get(f"{name}_stderr,none"), asked) for name, value in metrics.items()}


def _score(value: float, error: Any, asked: int) -> Score:
    return Score(value=float(value), stderr=None if isinstance(error, str | None) else float(error), n=asked)


def items_from_lm_eval(found: Mapping[str, Any], task: str) -> dict[str, dict[str, float]]:
    """The metrics of each item of one task, in lm-eval's order: item -> metric -> value, 0-1.

    An item is its row's `id`, which translations share, or its position where rows have none. `found` must come from a
    run with `log_samples=True`.
    """
    rows = found["samples"][task]
    return {
        str(row["doc"].get("id", row["doc_id"])): {name: float(row[name]) for name in row["metrics"]} for row in rows
    }


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
