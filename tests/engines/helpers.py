"""What several engine tests share."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Self

import psutil

from lidr.engines.engine import ChatRequest, Completion, EngineSpec, Failure, Sampling
from lidr.engines.process import worker_messages


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


class Holder:
    """A process that opened an engine and asks it without end: see tests/engines/holder.py."""

    def __init__(self, spec: EngineSpec, requests: Sequence[ChatRequest], *, folder: Path) -> None:
        task = {
            "spec": asdict(spec),
            "log": str(folder / "worker.log"),
            "requests": worker_messages.encode_requests(requests),
            "results": str(folder / "results.json"),
        }
        (folder / "task.json").write_text(json.dumps(task))
        command = [sys.executable, str(Path(__file__).with_name("holder.py")), str(folder / "task.json")]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        said = self._process.stdout.readline()
        assert said, (folder / "worker.log").read_text()[-2000:]
        self.group = int(said)
        self.results = [
            worker_messages.decode_result(item) for item in json.loads((folder / "results.json").read_text())
        ]

    def kill(self) -> None:
        """Kill the holder alone, without a chance to tidy up."""
        self._process.kill()
        self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        assert self._process.stdout is not None
        self._process.stdout.close()
