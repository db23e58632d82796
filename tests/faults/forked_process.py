"""Processes as forks of this one, which has imported what they need: a trial costs its own time and no start of Python.

A fork is a process like any other: it has a session of its own, is killed as a group, and shares nothing that is
written. What it does is the same code; only the seconds of importing torch and lm-eval are spared.
"""

from __future__ import annotations

import ctypes
import os
import runpy
import select
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any, NoReturn

SEEN = "LIDR_TEST_SEEN_MODULES"
"""A file that a fork appends the names of its modules to, so that they can be imported before the next."""
_PARENT_DEATH = 1  # PR_SET_PDEATHSIG: nothing outlives the process of the trials


class ForkedWorker:
    """In place of subprocess.Popen in lidr/worker/worker_process.py: `python -m MODULE` as a fork."""

    def __init__(
        self, command: Sequence[str], *, stdout: IO[bytes], pass_fds: tuple[int, ...], env: Mapping[str, str], **_: Any
    ) -> None:
        read_fd, write_fd = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            _as_worker(command[2], read_fd, stdout.fileno(), pass_fds, env)
        os.close(read_fd)
        self.stdin = os.fdopen(write_fd, "w", encoding="utf-8")
        self.returncode: int | None = None

    def wait(self, timeout: float | None = None) -> int:
        """As Popen's."""
        until = time.monotonic() + (float("inf") if timeout is None else timeout)
        while self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
            elif time.monotonic() > until:
                raise subprocess.TimeoutExpired("worker", timeout or 0)
            else:
                time.sleep(0.002)
        return self.returncode


def _as_worker(module: str, stdin: int, log: int, kept: tuple[int, ...], env: Mapping[str, str]) -> NoReturn:
    status = 1
    try:
        os.setsid()
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.dup2(stdin, 0)
        os.dup2(log, 1)
        os.dup2(log, 2)
        _close_all_but(kept)
        os.environ.clear()
        os.environ.update(env)
        sys.stdin, sys.stdout, sys.stderr = (os.fdopen(n, "rw"[n > 0], encoding="utf-8", buffering=1) for n in range(3))
        sys.argv = [module]
        runpy.run_module(module, run_name="__main__")
        _tell_modules()
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def _tell_modules() -> None:
    if SEEN in os.environ:
        with Path(os.environ[SEEN]).open("a", encoding="utf-8") as file:
            file.write("".join(f"{name}\n" for name in sys.modules))


def _close_all_but(kept: tuple[int, ...]) -> None:
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2 and int(name) not in kept:
            try:
                os.close(int(name))
            except OSError:
                continue


class Command:
    """`lidr WORDS` as a fork with a session of its own; what it says on standard error is read here."""

    def __init__(self, words: Sequence[str]) -> None:
        read_fd, write_fd = os.pipe()
        self.said = b""
        self._status: int | None = None
        self.pid = os.fork()
        if self.pid == 0:
            os.close(read_fd)
            _as_command(words, write_fd)
        os.close(write_fd)
        self._read = read_fd

    def wait_for(self, heard: Callable[[str], bool], timeout_s: float = 120) -> bool:
        """Read until what was said so far is heard; False where it has ended before."""
        until = time.monotonic() + timeout_s
        while not heard(self.said.decode("utf-8", "replace")):
            ready, _, _ = select.select([self._read], [], [], max(0.0, until - time.monotonic()))
            if not ready:
                self.kill(signal.SIGKILL)
                raise TimeoutError(f"nothing more after {timeout_s} s: {self.said[-2000:]!r}")
            data = os.read(self._read, 65536)
            if not data:
                return False
            self.said += data
        return True

    def is_running(self) -> bool:
        """Whether it lives."""
        if self._status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self._status = os.waitstatus_to_exitcode(status) if pid else None
        return self._status is None

    def kill(self, number: signal.Signals) -> bool:
        """Send a signal to its group; False where it has ended before."""
        if not self.is_running():
            return False
        os.killpg(self.pid, number)
        return True

    def end(self, timeout_s: float = 180) -> int:
        """Wait for it; its exit code."""
        self.wait_for(lambda said: False, timeout_s)
        os.close(self._read)
        until = time.monotonic() + timeout_s
        while self.is_running():
            if time.monotonic() > until:
                os.killpg(self.pid, signal.SIGKILL)
            time.sleep(0.002)
        assert self._status is not None
        return self._status


def _as_command(words: Sequence[str], write_fd: int) -> NoReturn:
    status = 1
    try:
        os.setsid()
        ctypes.CDLL(None).prctl(_PARENT_DEATH, signal.SIGKILL)
        os.dup2(os.open(os.devnull, os.O_RDWR), 0)
        os.dup2(0, 1)
        os.dup2(write_fd, 2)
        os.set_inheritable(write_fd, False)
        os.close(write_fd)
        sys.stdout, sys.stderr = (os.fdopen(n, "w", encoding="utf-8", buffering=1) for n in (1, 2))
        import lidr.worker.worker_process as worker
        from lidr.cli.main import main

        worker.subprocess = SimpleNamespace(  # type: ignore[attr-defined]
            Popen=ForkedWorker, PIPE=-1, STDOUT=-2, TimeoutExpired=subprocess.TimeoutExpired
        )
        sys.argv = ["lidr", *words]
        status = main()
        _tell_modules()
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)
