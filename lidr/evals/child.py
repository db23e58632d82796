"""The worker process of an evaluation: one spec in; counts of answers, then all of them, out."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Mapping
from typing import Any

from lidr.evals.spec import EvalSpec
from lidr.worker import serve


def handle(message: dict[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Ask, and yield {"answers": n} as they come and {"result"} at the end.

    lm-eval calls back and a worker yields, so lm-eval runs in a thread and the replies wait in a queue.
    """
    from lidr.evals.harness import run  # imports lm-eval and torch

    replies: queue.SimpleQueue[Mapping[str, Any] | BaseException] = queue.SimpleQueue()

    def work() -> None:
        try:
            replies.put({"result": run(EvalSpec.from_json(message), lambda n: replies.put({"answers": n}))})
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
