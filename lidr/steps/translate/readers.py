"""Translations held against their sources by several processes, so that no number of replicas waits for one reader.

Each process gets a part of what is to be read, this one too; their order stays. How many one reads: docs/measured.md.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from math import ceil
from pathlib import Path
from types import TracebackType
from typing import Any

from lidr.transforms import Parsed, Unchecked, checked
from lidr.worker import Worker, serve

FOR_EACH = 4
"""Replicas whose answers one process reads."""

FEWEST = 32
"""Translations that are worth a process's message."""


def processes_for(replicas: int) -> int:
    """How many processes read the answers of so many replicas: no more than this machine has cores."""
    return max(1, min(os.cpu_count() or 1, ceil(replicas / FOR_EACH)))


class Readers:
    """Processes that read beside this one; they are started when they are first needed and end with it."""

    def __init__(self, log: Path) -> None:
        """Start nothing; `log` gets what they print."""
        self._log = log
        self._stack = ExitStack()
        self._workers: list[Worker] = []

    def checked(
        self,
        read: Sequence[Unchecked],
        targets: Sequence[str | None],
        candidates: Sequence[str],
        *,
        replicas: int = 1,
    ) -> list[Parsed]:
        """The same as `transforms.checked`, shared among the processes that so many replicas need.

        Raises:
            WorkerDied: one of them was ended; nothing that was answered is lost.
        """
        shares = max(1, min(processes_for(replicas), len(read) // FEWEST))
        while len(self._workers) < shares - 1:
            env = {"POLARS_MAX_THREADS": "1"}
            self._workers.append(self._stack.enter_context(Worker(__name__, log=self._log, env=env, fresh=True)))
        cuts = [len(read) * share // shares for share in range(shares + 1)]
        helping = self._workers[: shares - 1]
        for worker, start, end in zip(helping, cuts[1:], cuts[2:], strict=False):
            asked = {"read": read[start:end], "targets": targets[start:end], "candidates": candidates}
            worker.send(asked)
        found = checked(read[: cuts[1]], targets[: cuts[1]], candidates)
        for worker in helping:
            found += [Parsed(*one) for reply in worker.replies() for one in reply["parsed"]]
        return found

    def __enter__(self) -> Readers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._workers.clear()
        self._stack.close()


def handle(message: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Read what stands in a message of `Readers.checked`."""
    read = [Unchecked(*one) for one in message["read"]]
    yield {"parsed": checked(read, message["targets"], message["candidates"])}


if __name__ == "__main__":
    serve(handle)
