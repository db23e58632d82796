"""The worker process of training: one spec in; steps, then the result, out. Run as: python -m lidr.train.child."""

from __future__ import annotations

import dataclasses
import queue
import threading
from collections.abc import Iterator, Mapping
from typing import Any

from lidr.train.spec import StepMetrics, TrainSpec
from lidr.worker import serve


def handle(message: dict[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Train, and yield {"step", "total"} after each optimiser step and {"result"} at the end.

    The trainer calls back and a worker yields, so the trainer runs in a thread and the replies wait in a queue.
    """
    from lidr.train.run import run  # imports torch

    replies: queue.SimpleQueue[Mapping[str, Any] | BaseException] = queue.SimpleQueue()

    def on_step(step: StepMetrics, total: int) -> None:
        replies.put({"step": dataclasses.asdict(step), "total": total})

    def work() -> None:
        try:
            replies.put({"result": dataclasses.asdict(run(TrainSpec.from_json(message), on_step))})
        except BaseException as error:  # handed over, not swallowed: it is raised again below
            replies.put(error)

    threading.Thread(target=work, daemon=True).start()
    while True:
        reply = replies.get()
        if isinstance(reply, BaseException):
            raise reply
        yield reply
        if "result" in reply:
            return


if __name__ == "__main__":
    serve(handle)
