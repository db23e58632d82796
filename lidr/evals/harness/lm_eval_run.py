"""One run of lm-eval: the tasks of evals/, answered by one model. Runs in the worker process; scoring is elsewhere.

lm-eval loads rows, renders prompts, asks the model and runs its own filters and metrics; what it logged of each answer
comes back. A run that is cut off goes on: answers are kept below `spec.work`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from lidr.engines import ChatTokenizer, ModelFolder
from lidr.evals.alignment_tax import run_tax
from lidr.evals.benchmarks import BENCHMARKS
from lidr.evals.harness.backends import check_lengths_first, open_lm
from lidr.evals.harness.engine_lm import EngineLM
from lidr.evals.harness.kept_answers import kept_answers
from lidr.evals.results import Declined
from lidr.evals.spec import EvalSpec
from lidr.resources import shared


def run(
    spec: EvalSpec,
    on_answers: Callable[[int], None],
    on_all: Callable[[], None] = lambda: None,
    on_kept: Callable[[int], None] = lambda count: None,
) -> dict[str, Any]:
    """Ask everything.

    Args:
        spec: the evaluation.
        on_answers: told of new answers as they come.
        on_all: told when all are there, before lm-eval scores them.
        on_kept: told how many an interrupted try left, before the first new one.

    Returns:
        `answers`: one dictionary for each task and item: task, item, response; of one that is none, reason
        and said. `metrics`: what lm-eval itself made of
        them, by task. `tax`: see passed_through.run_tax. `ran_on`: of several replicas, how they ran.

    Raises:
        EvaluationError: the model cannot be asked so.
    """
    with open_lm(spec) as lm:
        with kept_answers(lm, Path(spec.work) / "tax.jsonl", lambda count: None):
            tax = run_tax(lm, spec)
        check_lengths_first(lm, spec)
        with kept_answers(lm, Path(spec.work) / "answers.jsonl", on_answers, on_all, on_kept):
            found = _ask(lm, spec)
        ran_on = lm.ran_on if isinstance(lm, EngineLM) else {}
    return {
        "answers": _answers(found["samples"]),
        "metrics": _metrics(found["results"]),
        "tax": tax,
        "ran_on": ran_on,
    }


def _ask(lm: Any, spec: EvalSpec) -> Any:
    """Our own tasks through lm-eval."""
    from lm_eval import evaluator

    evaluator.add_env_info = lambda storage: None  # asks pip and the machine, for 4 s of a CPU; nothing of it is kept
    names = [task.task for task in spec.tasks if task.benchmark in BENCHMARKS]
    if not names:
        return {"samples": {}, "results": {}}
    return evaluator.simple_evaluate(
        model=lm,
        tasks=names,
        task_manager=task_manager(spec.data, spec.gold),
        limit=spec.limit,
        gen_kwargs=gen_kwargs(spec) | _ends(lm, spec) | _budget(lm, spec),
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


def _ends(lm: Any, spec: EvalSpec) -> dict[str, Any]:
    """The end of a turn as text that ends an answer, for lm-eval's own back ends, where the model's files do not name
    it: they would write on to the longest answer.
    """
    if isinstance(lm, EngineLM):
        return {}
    known = ModelFolder(Path(spec.model)).end_ids()
    found = ChatTokenizer(lm.tokenizer, model=spec.model, end_ids=known).end_ids - known - {lm.tokenizer.eos_token_id}
    return {"until": lm.tokenizer.convert_ids_to_tokens(sorted(found))} if found else {}


def _budget(lm: Any, spec: EvalSpec) -> dict[str, Any]:
    """The longest thought in vLLM's words; lidr's own engines know it from their spec."""
    budget = spec.decoding.thinking_budget
    return {} if budget is None or isinstance(lm, EngineLM) else {"thinking_token_budget": budget}


def _answers(samples: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """One for each task and item, whatever filters were run over it."""
    answers: dict[tuple[str, str], dict[str, Any]] = {}
    for task, rows in samples.items():
        for row in rows:
            item = str(row["doc"]["item"])
            said = row["resps"][0][0]
            declined = {"reason": said.reason, "said": said.said} if isinstance(said, Declined) else {}
            answers[task, item] = {"task": task, "item": item, "response": str(said or ""), **declined}
    return list(answers.values())


def _metrics(results: dict[str, dict[str, Any]]) -> dict[str, dict[str, float]]:
    """lm-eval's own numbers, plain: by metric, without the filter's name that lm-eval adds ("acc,read")."""
    return {
        task: {name.split(",")[0]: float(value) for name, value in metrics.items() if isinstance(value, int | float)}
        for task, metrics in results.items()
    }
