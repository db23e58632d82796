"""The worker of training: one spec in; steps, then the result, out. Run as: python -m lidr.train.train_worker."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from lidr.train.training_spec import StepMetrics, TrainSpec
from lidr.worker import replies_of, serve


def handle(message: dict[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Train, and yield {"step", "total"} after each optimiser step and {"result"} at the end."""
    from lidr.train.training_run import run  # imports torch

    def work(tell: Callable[[Mapping[str, Any]], None]) -> dict[str, Any]:
        def on_step(step: StepMetrics, total: int) -> None:
            tell({"step": dataclasses.asdict(step), "total": total})

        return dataclasses.asdict(run(TrainSpec.from_json(message), on_step))

    return replies_of(work)


if __name__ == "__main__":
    serve(handle)
