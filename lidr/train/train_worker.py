"""The worker of training: one spec in; steps, then the result, out.

python -m lidr.train.train_worker            the worker
python -m lidr.train.train_worker SOCKET     one of several processes that train together, started by it
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from lidr.train.training_spec import StepMetrics, TrainSpec
from lidr.weights import forbid_fetched_kernels
from lidr.worker import replies_of, serve, serve_rank, work_together


def handle(message: dict[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Train, and yield {"said"}, {"step", "total"} after each optimiser step, and {"result"} at the end."""
    if message["processes"] > 1:
        return work_together("lidr.train.train_worker", message, message["processes"])
    return handle_here(message)


def handle_here(message: dict[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The same in this process, which may be one of several."""
    forbid_fetched_kernels()  # before peft is imported
    from lidr.train.training_run import run  # imports torch

    def work(tell: Callable[[Mapping[str, Any]], None]) -> dict[str, Any]:
        def on_step(step: StepMetrics, total: int) -> None:
            tell({"step": dataclasses.asdict(step), "total": total})

        def say(text: str) -> None:
            tell({"said": text})

        return dataclasses.asdict(run(TrainSpec.from_json(message), on_step, say))

    return replies_of(work)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        sys.exit(serve_rank(sys.argv[1], handle_here))
    serve(handle)
