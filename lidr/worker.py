"""Run heavy work in a process group of its own, and end it as a group.

A worker holds a model. When it ends, its memory is free, for certain; when the parent is killed, the worker sees its
standard input close and ends itself and everything it started. Messages are JSON lines: parent to child on standard
input, child to parent on a pipe of their own, because libraries print on standard output, which goes to the log.

    parent                                     child (python -m MODULE)
    worker = Worker("lidr.engines.child", ...)  def handle(message): yield {...}, {...}
    worker.send({...})                          serve(handle)
    for reply in worker.replies(): ...
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

from lidr import errors

_REPLY_FD = "LIDR_WORKER_FD"
_CLOSE = {"close": True}

# Models are resolved to local folders before a worker starts, so a worker has no business on the network.
_OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "PYTHONUNBUFFERED": "1",
}


class Worker:
    """The parent's side of one worker process."""

    def __init__(self, module: str, *, log: Path, env: Mapping[str, str] | None = None) -> None:
        """Start `python -m module` in a new process group; its prints go to `log`, appended."""
        self.module, self.log = module, log
        log.parent.mkdir(parents=True, exist_ok=True)
        read_fd, write_fd = os.pipe()
        with log.open("ab") as sink:
            self._process = subprocess.Popen(
                [sys.executable, "-m", module],
                stdin=subprocess.PIPE,
                stdout=sink,
                stderr=subprocess.STDOUT,
                pass_fds=(write_fd,),
                env={**os.environ, **_OFFLINE, **(env or {}), _REPLY_FD: str(write_fd)},
                start_new_session=True,
                text=True,
            )
        os.close(write_fd)
        self._replies: TextIO = os.fdopen(read_fd, encoding="utf-8")

    @property
    def pid(self) -> int:
        """Process id, which is also the id of the worker's process group."""
        return self._process.pid

    def send(self, message: Mapping[str, Any]) -> None:
        """Hand the worker one message."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(message) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise errors.EngineError(self._death()) from None

    def replies(self) -> Iterator[dict[str, Any]]:
        """Yield the replies to one message, up to its end mark; raise what the worker raised."""
        for line in self._replies:
            reply = json.loads(line)
            if "done" in reply:
                return
            if "error" in reply:
                raise getattr(errors, reply["kind"], errors.EngineError)(reply["error"])
            yield reply
        raise errors.EngineError(self._death())

    def close(self, grace_s: float = 10.0) -> None:
        """End the worker and everything it started. Safe to call twice."""
        if not self._replies.closed:
            with contextlib.suppress(errors.EngineError, ValueError):
                self.send(_CLOSE)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(grace_s)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._replies.close()
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _death(self) -> str:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(5)
        tail = self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-5:]
        return (
            f"the worker {self.module} ended early (exit status {self._process.returncode}). Finished rows are kept: "
            f"run the same command again. Its log is {self.log}; it ends with:\n  " + "\n  ".join(tail)
        )


def serve(handle: Callable[[dict[str, Any]], Iterable[Mapping[str, Any]]]) -> None:
    """Answer messages until the parent says close or is gone; the child's main loop."""
    inbox: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    threading.Thread(target=_read_parent, args=(inbox,), daemon=True).start()
    with os.fdopen(int(os.environ[_REPLY_FD]), "w", encoding="utf-8", buffering=1) as out:
        while (message := inbox.get()) != _CLOSE:
            try:
                for reply in handle(message):
                    out.write(json.dumps(reply) + "\n")
                out.write('{"done": true}\n')
            except errors.LidrError as error:
                out.write(json.dumps({"error": str(error), "kind": type(error).__name__}) + "\n")
            except Exception as error:
                traceback.print_exc()
                text = f"{type(error).__name__}: {error} (the traceback is in the worker's log)"
                out.write(json.dumps({"error": text, "kind": "EngineError"}) + "\n")


def _read_parent(inbox: queue.SimpleQueue[dict[str, Any]]) -> None:
    for line in sys.stdin:
        inbox.put(json.loads(line))
        if inbox is not None and line.strip() == json.dumps(_CLOSE):
            return
    os.killpg(os.getpgid(0), signal.SIGKILL)  # the parent is gone without a word
