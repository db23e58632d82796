"""Run heavy work in a process group of its own, and end it as a group.

A worker holds a model. When it ends, its memory is free, for certain; when the parent is killed, the worker sees its
standard input close and ends itself and everything it started. Messages are JSON lines: parent to child on standard
input, child to parent on a pipe of their own, because libraries print on standard output, which goes to the log.

    parent                                     child (python -m MODULE)
    worker = Worker("lidr.engines.process.engine_worker", ...)  def handle(message): yield {...}, {...}
    worker.send({...})                          serve(handle)
    for reply in worker.replies(): ...
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import queue
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

from lidr import errors, secrecy, warned
from lidr.worker import fork_server
from lidr.worker.root_cause import explained

_REPLY_FD = "LIDR_WORKER_FD"
_CLOSE = {"close": True}

# Models are resolved to local folders before a worker starts, so a worker has no business on the network.
_ALWAYS = {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "PYTHONUNBUFFERED": "1"}

# What the user's own environment may say otherwise. Waiting threads that spin take the core from those that work:
# beside one busy process SmolLM2 gave 8 tokens/s with spinning threads and 48 without (two cores). Progress bars of
# libraries would bury the last words of a log.
_UNLESS_SET = {"OMP_WAIT_POLICY": "PASSIVE", "TOKENIZERS_PARALLELISM": "false", "TQDM_DISABLE": "1"}

_GONE_WITHIN_S = 30.0


class Worker:
    """The parent's side of one worker process."""

    def __init__(self, module: str, *, log: Path, env: Mapping[str, str] | None = None, fresh: bool = False) -> None:
        """Start `python -m module` in a new process group.

        Args:
            module: ends with `serve(...)` where it is run.
            log: receives what it prints, appended.
            env: variables that it gets besides this process's own.
            fresh: never as a fork of a process that has imported torch: see lidr/worker/fork_server.py.
        """
        self.module, self.log = module, log
        log.parent.mkdir(parents=True, exist_ok=True)
        self._began = log.stat().st_size if log.exists() else 0
        read_fd, write_fd = os.pipe()
        usual, more = {**_UNLESS_SET, **os.environ, **_ALWAYS}, dict(env or {})
        with log.open("ab") as sink:
            forked = None
            if not fresh:
                forked = fork_server.fork(module, usual=usual, more=more, log=sink.fileno(), replies=write_fd)
            self._process: subprocess.Popen[str] | fork_server.Forked = forked or subprocess.Popen(
                [sys.executable, "-m", module],
                stdin=subprocess.PIPE,
                stdout=sink,
                stderr=subprocess.STDOUT,
                pass_fds=(write_fd,),
                env={**usual, **more, _REPLY_FD: str(write_fd)},
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
            raise errors.WorkerDied(self._death()) from None

    def replies(self) -> Iterator[dict[str, Any]]:
        """Yield the replies to one message, up to its end mark; raise what the worker raised, warn as it warned."""
        for line in self._replies:
            reply = json.loads(line)
            if "done" in reply:
                return
            if "error" in reply:
                text = reply["error"]
                if reply.get("is_logged"):
                    text = f"{explained(text, self.log, self._began)} (the traceback is in {self.log})"
                raise _again(reply["kind"], text)
            if "warned" in reply:
                logging.getLogger(reply["logger"]).warning("%s", reply["warned"], extra=reply["facts"])
                continue
            yield reply
        raise errors.WorkerDied(self._death())

    def close(self, grace_s: float = 10.0) -> None:
        """End the worker and everything it started, and wait until it is gone. Safe to call twice."""
        if self._replies.closed:
            return
        with contextlib.suppress(errors.EngineError, ValueError):
            self.send(_CLOSE)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(grace_s)
        _end_group(self._process.pid)
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


def _end_group(group: int) -> None:
    """Kill a process group and wait until nobody in it lives: only then is its memory, a GPU's too, free."""
    deadline = time.monotonic() + _GONE_WITHIN_S
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)
    while _lives(group) and time.monotonic() < deadline:
        time.sleep(0.01)


def _lives(group: int) -> bool:
    """Whether a process of the group is more than a zombie; without /proc (macOS), whether the group exists."""
    if not Path("/proc/self/stat").exists():
        try:
            os.killpg(group, 0)
        except (ProcessLookupError, PermissionError):
            return False
        return True
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _, its_group = stat.read_text().rpartition(")")[2].split()[:3]
            if int(its_group) == group and state not in "ZX":
                return True
    return False


def serve(handle: Callable[[dict[str, Any]], Iterable[Mapping[str, Any]]]) -> None:
    """Answer messages until the parent says close or is gone; the child's main loop. Its log holds nothing secret."""
    with secrecy.cleaned_output():
        _serve(handle)


def _serve(handle: Callable[[dict[str, Any]], Iterable[Mapping[str, Any]]]) -> None:
    inbox: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    threading.Thread(target=_read_parent, args=(inbox,), daemon=True).start()
    lock = threading.Lock()  # a warning may come from any thread
    with os.fdopen(int(os.environ[_REPLY_FD]), "w", encoding="utf-8", buffering=1) as out:

        def tell(reply: Mapping[str, Any]) -> None:
            with lock:
                out.write(json.dumps(reply) + "\n")

        with warned.showing(lambda record: tell(_warning(record))):
            while (message := inbox.get()) != _CLOSE:
                try:
                    for reply in handle(message):
                        tell(reply)
                    tell({"done": True})
                except errors.LidrError as error:
                    tell({"error": str(error), "kind": type(error).__name__})
                except Exception as error:
                    traceback.print_exc()
                    said = secrecy.without_secrets(f"{type(error).__name__}: {error}")
                    tell({"error": said, "kind": "EngineError", "is_logged": True})


def _warning(record: logging.LogRecord) -> dict[str, Any]:
    """A warning as a reply: its text, the logger's name, and since when a server is silent where it is about that."""
    facts = {"silent_since": record.silent_since} if hasattr(record, "silent_since") else {}
    return {"warned": secrecy.without_secrets(record.getMessage()), "logger": record.name, "facts": facts}


def replies_of(work: Callable[[Callable[[Mapping[str, Any]], None]], Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Yield what work that calls back tells, and at the end {"result": what it returns}; raise what it raises.

    Libraries call back and a worker yields, so the work runs in a thread and its replies wait in a queue.
    """
    waiting: queue.SimpleQueue[Mapping[str, Any] | BaseException] = queue.SimpleQueue()

    def run() -> None:
        try:
            waiting.put({"result": work(waiting.put)})
        except BaseException as error:  # handed over, not swallowed: it is raised again below
            waiting.put(error)

    threading.Thread(target=run, daemon=True).start()
    while True:
        reply = waiting.get()
        if isinstance(reply, BaseException):
            raise reply
        yield reply
        if "result" in reply:
            return


def _again(kind: str, text: str) -> errors.LidrError:
    """The error that the worker raised; made without its constructor, which may want more than the text."""
    found = getattr(errors, kind, errors.EngineError)
    error: errors.LidrError = found.__new__(found)
    error.args = (text,)
    return error


def _read_parent(inbox: queue.SimpleQueue[dict[str, Any]]) -> None:
    for line in sys.stdin:
        message = json.loads(line)
        inbox.put(message)
        if message == _CLOSE:
            return
    os.killpg(os.getpgid(0), signal.SIGKILL)  # the parent is gone without a word
