"""What several engine tests share."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable

import psutil

from lidr.engines.base import ChatRequest, Completion, Failure, Sampling


def ask(key: str, text: str = "What do bees make?", *, prefill: str | None = None, **sampling: object) -> ChatRequest:
    """A request with one user message, greedy and of 16 tokens unless told otherwise."""
    options: dict[str, object] = {"max_tokens": 16, **sampling}
    return ChatRequest(key, ({"role": "user", "content": text},), Sampling(**options), prefill)  # type: ignore[arg-type]


def by_key(results: Iterable[Completion | Failure]) -> dict[str, Completion]:
    """Completions by their key; a failure or a key that comes twice is an error."""
    found: dict[str, Completion] = {}
    for result in results:
        assert isinstance(result, Completion), result
        assert result.key not in found
        found[result.key] = result
    return found


def members(group: int) -> list[str]:
    """Command lines of the living processes of a process group; those dead but not yet reaped hold no memory."""
    living = []
    for process in psutil.process_iter():
        try:
            if os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE:
                living.append(" ".join(process.cmdline()))
        except (ProcessLookupError, psutil.NoSuchProcess):
            continue
    return living


def wait_until_empty(group: int, timeout_s: float = 30) -> None:
    """Wait until no process of the group lives."""
    deadline = time.monotonic() + timeout_s
    while living := members(group):
        assert time.monotonic() < deadline, living
        time.sleep(0.05)
