"""Train in a process of its own: the parent needs no torch, and when it ends, the memory is free.

result = train(spec, log=Path("train.log"), on_step=lambda step, total: print(step.step, total, step.loss))
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

from lidr.errors import EngineError, TrainError
from lidr.extras import require
from lidr.train.training_spec import StepMetrics, TrainResult, TrainSpec
from lidr.worker import Worker

PACKAGES = ("torch", "transformers", "trl", "peft", "accelerate", "datasets")
"""What training imports; their versions go into the result."""


def train(
    spec: TrainSpec,
    *,
    log: Path,
    on_step: Callable[[StepMetrics, int], None],
    say: Callable[[str], None] = lambda text: None,
) -> TrainResult:
    """Run one training to its end, in a worker process.

    A run that is cut off leaves its checkpoints in spec.work; the same spec goes on from them.

    Args:
        spec: the run.
        log: receives what the libraries print, appended.
        on_step: is told of each optimiser step as it is logged, and of the number of all steps. What it raises ends
            the worker at once.
        say: is told of checkpoints that are not gone on from, and why.

    Raises:
        TrainError: training cannot start or go on, or the worker died; the message holds the end of its log.
        RowError: the pairs table is not one.
        MissingExtraError: the extra `train` is not installed.
    """
    require("train", PACKAGES, needed_for="training")
    if spec.quantization:
        require("bnb", ("bitsandbytes",), needed_for=f"train.load.quantization: {spec.quantization}")
    worker = Worker(
        "lidr.train.train_worker", log=log, env={"OMP_NUM_THREADS": str(spec.threads)} if spec.threads else None
    )
    result: TrainResult | None = None
    try:
        worker.send(dataclasses.asdict(spec))
        for reply in worker.replies():
            if "step" in reply:
                on_step(StepMetrics(**reply["step"]), reply["total"])
            elif "said" in reply:
                say(reply["said"])
            else:
                result = TrainResult.from_json(reply["result"])
    except EngineError as error:
        where = "" if str(log) in str(error) else f". Its log is {log}"
        raise TrainError(f"{error}{where}") from None
    finally:
        worker.close(grace_s=10.0 if result else 0.0)
    if result is None:
        raise TrainError(
            f"the training process ended without a result, as when memory runs out; its log is {log}. Run the same "
            "command again"
        )
    return result
