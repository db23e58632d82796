"""Several processes that work together by torchrun; none of them outlives the one that asked.

    worker --> torchrun --> rank 0, rank 1, ...: python -m MODULE SOCKET
       each rank has a connection to the worker: {"rank"}; then the replies of rank 0, and {"error"} or {"ended"} of any
       the worker sends each the message, when all have come: then each can say why it ended

    worker                                      rank (python -m MODULE SOCKET)
    for reply in work_together(MODULE, ...): ...    serve_rank(SOCKET, handle)

torchrun gives each rank a session of its own, so that a signal to the worker's process group does not reach it. The
connection does: however the worker ends, the kernel closes it, and a rank whose connection closes kills itself. When
torchrun ends, the worker closes them.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from lidr import secrecy
from lidr.errors import LidrError, WorkerDied

_GRACE_S = 20.0
"""For ranks to end by themselves after the result, and to be gone after their connection was closed."""

_OTHERS_S = 3.0
"""After the first rank failed: others fail for want of it, and the reason of one may come after the cry of another."""


class _Failure(NamedTuple):
    weight: int  # 0: says what the user can do; 1: died without a word; 2: an exception, perhaps for want of another
    reply: Mapping[str, Any]


def work_together(module: str, message: Mapping[str, Any], processes: int) -> Iterator[Mapping[str, Any]]:
    """Run one message in several processes of this machine, and pass on what the first of them replies.

    Args:
        module: calls `serve_rank` where it is run.
        message: for each of them.
        processes: at least two.

    Yields:
        The replies, the last with the key "result"; or {"error", "kind"} as the last.

    Raises:
        WorkerDied: torchrun ended without a result.
    """
    ranks = _Ranks(message, processes)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    with contextlib.closing(ranks):
        launcher = subprocess.Popen([*command, "-m", module, str(ranks.path)], stdin=subprocess.DEVNULL)
        try:
            yield from _replies(ranks, launcher)
        finally:
            with contextlib.suppress(subprocess.TimeoutExpired):
                launcher.wait(_GRACE_S if ranks.is_done else 0)
            launcher.kill()
            launcher.wait()


def _replies(ranks: _Ranks, launcher: subprocess.Popen[bytes]) -> Iterator[Mapping[str, Any]]:
    until: float | None = None
    while not ranks.is_done and (until is None or time.monotonic() < until):
        has_ended = launcher.poll() is not None
        yield from ranks.hear(0.0 if has_ended else 0.2)
        if ranks.failures and until is None:
            until = time.monotonic() + _OTHERS_S
        if has_ended and not ranks.has_news:
            break
    if ranks.is_done:
        return
    if not ranks.failures:
        raise WorkerDied(f"torchrun ended early (exit status {launcher.poll()}). Run the same command again")
    yield min(ranks.failures, key=lambda failure: failure.weight).reply


class _Ranks:
    """The worker's side of the connections."""

    def __init__(self, message: Mapping[str, Any], processes: int) -> None:
        self.failures: list[_Failure] = []
        self.is_done = self.has_news = False
        self._awaited = processes
        self._message = (json.dumps(message) + "\n").encode()
        is_long = len(tempfile.gettempdir()) > 60  # a socket's path has at most 107 bytes
        self._folder = tempfile.TemporaryDirectory(prefix="lidr-ranks-", dir="/tmp" if is_long else None)
        self.path = Path(self._folder.name) / "s"
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(self.path))
        self._server.listen()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._server, selectors.EVENT_READ)
        self._unread: dict[socket.socket, bytes] = {}
        self._names: dict[socket.socket, int] = {}

    def hear(self, timeout_s: float) -> Iterator[Mapping[str, Any]]:
        """Replies that have come, or come within the time."""
        ready = self._selector.select(timeout_s)
        self.has_news = bool(ready)
        for key, _ in ready:
            if key.fileobj is self._server:
                rank, _ = self._server.accept()
                self._unread[rank] = b""
                self._selector.register(rank, selectors.EVENT_READ)
            else:
                assert isinstance(key.fileobj, socket.socket)
                yield from self._read(key.fileobj)

    def _read(self, rank: socket.socket) -> Iterator[Mapping[str, Any]]:
        try:
            data = rank.recv(2**16)
        except ConnectionResetError:
            data = b""
        if not data:
            self._selector.unregister(rank)
            if (name := self._names.get(rank)) is not None:
                said = f"process {name} ended early, as when memory runs out. Run the same command again"
                self.failures.append(_Failure(1, {"error": said, "kind": WorkerDied.__name__}))
            return
        *lines, self._unread[rank] = (self._unread[rank] + data).split(b"\n")
        for line in lines:
            reply = json.loads(line)
            if "rank" in reply:
                self._names[rank] = reply["rank"]
                self._start_when_all_are_here()
            elif "ended" in reply:
                del self._names[rank]
            elif "error" in reply:
                self._names.pop(rank, None)  # it has said why it ends
                self.failures.append(_Failure(2 if reply["kind"] == "EngineError" else 0, reply))
            else:
                self.is_done |= "result" in reply
                yield reply

    def _start_when_all_are_here(self) -> None:
        """When one fails, torchrun ends each that does not outlast it yet; what that one would have said is lost."""
        if len(self._names) == self._awaited:
            for rank in self._names:
                with contextlib.suppress(BrokenPipeError):
                    rank.sendall(self._message)

    def close(self) -> None:
        """Close the connections, on which the ranks kill themselves, and wait until they are gone."""
        self._selector.close()
        self._server.close()
        until = time.monotonic() + _GRACE_S
        for rank in self._unread:
            with contextlib.suppress(OSError):
                rank.shutdown(socket.SHUT_WR)
                rank.settimeout(max(0.1, until - time.monotonic()))
                while rank.recv(2**16):
                    pass
            rank.close()
        self._folder.cleanup()


def serve_rank(path: str, handle: Callable[[dict[str, Any]], Iterable[Mapping[str, Any]]]) -> int:
    """Work as one of several; rank 0 replies.

    Args:
        path: of the worker's socket.
        handle: takes the message and yields replies, the last with the key "result".

    Returns:
        The exit status.
    """
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(path)  # before anything that takes time: from here on this process ends with the worker
    worker = connection.makefile("r", encoding="utf-8")
    rank = int(os.environ["RANK"])

    def tell(reply: Mapping[str, Any]) -> None:
        connection.sendall((json.dumps(reply) + "\n").encode())

    _outlast_torchrun()
    tell({"rank": rank})
    line = worker.readline()
    if not line:
        return 1  # the worker has ended, or another rank before all had come
    message = json.loads(line)
    threading.Thread(target=_end_with, args=(worker,), daemon=True).start()
    with secrecy.cleaned_output():
        try:
            for reply in handle(message):
                if rank == 0:
                    tell(reply)
        except LidrError as error:
            tell({"error": str(error), "kind": type(error).__name__})
            return 1
        except Exception as error:
            traceback.print_exc()
            said = secrecy.without_secrets(f"{type(error).__name__}: {error}")
            tell({"error": f"process {rank}: {said} (the traceback is in the worker's log)", "kind": "EngineError"})
            return 1
    if rank:
        tell({"ended": rank})
    return 0


def _outlast_torchrun() -> None:
    """When one fails, torchrun asks the others to end, whose reason may be the first: they end with the connection.
    Processes that a rank forks end when they are asked to.
    """
    own = os.getpid()

    def asked(number: int, frame: object) -> None:
        if os.getpid() != own:
            os._exit(128 + number)

    signal.signal(signal.SIGTERM, asked)


def _end_with(worker: TextIO) -> None:
    """Wait until the worker's end of the connection closes; then end this process and what it started."""
    worker.read()
    os.killpg(os.getpgrp(), signal.SIGKILL)
