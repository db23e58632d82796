"""Answer the tasks in a process of its own: the caller needs no torch, and when it ends, the memory is free."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lidr.errors import EngineError, EvaluationError
from lidr.evals.results import Declined
from lidr.evals.spec import EvalSpec
from lidr.extras import require
from lidr.worker import Worker


@dataclass(frozen=True)
class Answers:
    """What the model said.

    Args:
        responses: (task, item) -> text; `Declined` where it is no answer.
        metrics: lm-eval's own numbers, by task.
        tax: what lm-eval itself scored, see passed_through.run_tax.
        ran_on: of several replicas, how they ran: started, died, on how many nodes.
    """

    responses: Mapping[tuple[str, str], str]
    metrics: Mapping[str, Mapping[str, float]]
    tax: Mapping[str, Mapping[str, Any]]
    ran_on: Mapping[str, Any]


def answer(
    spec: EvalSpec,
    *,
    log: Path,
    on_answers: Callable[[int], None],
    on_all: Callable[[], None] = lambda: None,
    on_kept: Callable[[int], None] = lambda count: None,
) -> Answers:
    """Run lm-eval to its end, in a worker process.

    Args:
        spec: the evaluation.
        log: receives what the libraries print, appended.
        on_answers: told of new answers as they come.
        on_all: told when all are there, before lm-eval scores them.
        on_kept: told how many an interrupted try left, before the first new one.

    Raises:
        EvaluationError: the model cannot be asked so, or the worker died; the message holds the end of its log.
        MissingExtraError: the extra `eval` is not installed.
    """
    require("eval", ("lm_eval",), needed_for="evaluation")
    require(spec.row.extra, spec.row.packages, needed_for="evaluation")
    env = {"OMP_NUM_THREADS": str(spec.threads)} if spec.threads else {}
    if any(task.benchmark == "tax" for task in spec.tasks) or (spec.data and not Path(spec.data).is_dir()):
        env |= {"HF_HUB_OFFLINE": "0", "HF_DATASETS_OFFLINE": "0"}  # these rows come from the Hub, in the worker
    worker = Worker("lidr.evals.harness.answer_worker", log=log, env=env, fresh=not spec.row.is_forked)
    result = None
    try:
        worker.send(dataclasses.asdict(spec))
        for reply in worker.replies():
            if "answers" in reply:
                on_answers(reply["answers"])
            elif "kept" in reply:
                on_kept(reply["kept"])
            elif "all" in reply:
                on_all()
            else:
                result = reply["result"]
    except EngineError as error:
        raise EvaluationError(str(error)) from None
    finally:
        worker.close(grace_s=10.0 if result else 0.0)
    if result is None:
        raise EvaluationError(
            f"the evaluation process ended without a result, as when memory runs out; its log is {log}"
        )
    responses = {(row["task"], row["item"]): _response(row) for row in result["answers"]}
    return Answers(responses, result["metrics"], result["tax"], result["ran_on"])


def _response(row: Mapping[str, Any]) -> str:
    text = row["response"] or ""
    return Declined(text, row["reason"], row["said"]) if "reason" in row else text
