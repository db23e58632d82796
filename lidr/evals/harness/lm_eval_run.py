"""One run of lm-eval: the tasks of evals/, answered by one model. Runs in the worker process; scoring is elsewhere.

lm-eval loads rows, renders prompts, asks the model and runs its own filters and metrics; what it logged of each answer
comes back. A run that is cut off goes on: answers are kept in lm-eval's cache below `spec.work`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from lidr.evals.alignment_tax import run_tax
from lidr.evals.benchmarks import BENCHMARKS
from lidr.evals.harness.backends import adapter_shift, open_lm, watch
from lidr.evals.spec import EvalSpec
from lidr.resources import shared


def run(spec: EvalSpec, on_answers: Callable[[int], None]) -> dict[str, Any]:
    """Ask everything.

    Returns:
        `answers`: one dictionary for each task and item: task, item, response. `metrics`: what lm-eval itself made of
        them, by task. `adapter_shift`: see backends.adapter_shift, or None. `tax`: see passed_through.run_tax.

    Raises:
        EvaluationError: the model cannot be asked so.
    """
    with open_lm(spec) as lm:
        shift = adapter_shift(lm, spec) if spec.adapter else None
        tax = run_tax(lm, spec)
        watch(lm, spec, on_answers)
        found = _ask(lm, spec)
    answers = {"answers": _answers(found["samples"]), "metrics": _metrics(found["results"])}
    return {**answers, "adapter_shift": shift, "tax": tax}


def _ask(lm: Any, spec: EvalSpec) -> Any:
    """Our own tasks through lm-eval."""
    from lm_eval.evaluator import simple_evaluate

    names = [task.task for task in spec.tasks if task.benchmark in BENCHMARKS]
    if not names:
        return {"samples": {}, "results": {}}
    return simple_evaluate(
        model=lm,
        tasks=names,
        task_manager=task_manager(spec.data, spec.gold),
        use_cache=str(Path(spec.work) / "answers"),
        limit=spec.limit,
        gen_kwargs=gen_kwargs(spec),
        system_instruction=spec.decoding.system_prompt,
        apply_chat_template=True,
        log_samples=True,
        bootstrap_iters=0,
        random_seed=spec.seed,
        numpy_random_seed=spec.seed,
        torch_random_seed=spec.seed,
        fewshot_random_seed=spec.seed,
    )


def task_manager(data: str | None, gold: str = "number") -> Any:
    """lm-eval's finder of tasks, with ours alone: reading its own takes many seconds."""
    from lm_eval.tasks import TaskManager

    metadata: Any = ({"lidr_data": data} if data else {}) | ({"lidr_gold": gold} if gold != "number" else {})
    return TaskManager(include_path=[str(shared("evals"))], include_defaults=False, metadata=metadata or None)


def gen_kwargs(spec: EvalSpec) -> dict[str, Any]:
    """Decoding in lm-eval's words; merged over the task's own."""
    decoding = spec.decoding
    words: dict[str, Any] = {"max_gen_toks": decoding.max_tokens, "do_sample": False}
    if decoding.repetition_penalty != 1.0:
        words["repetition_penalty"] = decoding.repetition_penalty
    return words


def _answers(samples: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """One for each task and item, whatever filters were run over it."""
    answers: dict[tuple[str, str], dict[str, Any]] = {}
    for task, rows in samples.items():
        for row in rows:
            item = str(row["doc"]["item"])
            answers[task, item] = {"task": task, "item": item, "response": row["resps"][0][0] or ""}
    return list(answers.values())


def _metrics(results: dict[str, dict[str, Any]]) -> dict[str, dict[str, float]]:
    """lm-eval's own numbers, plain: by metric, without the filter's name that lm-eval adds ("acc,read")."""
    return {
        task: {name.split(",")[0]: float(value) for name, value in metrics.items() if isinstance(value, int | float)}
        for task, metrics in results.items()
    }
