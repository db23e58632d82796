"""A process that has torch and transformers imported, from which workers are forked: they need not import them again.

It is started with the first worker that needs torch and ends with this process, however that ends. Forking is safe only
while no thread computes and no GPU is in use, and pays only where libraries behave as in a fresh process: so on Linux,
where there is no GPU, and where the worker's environment is the server's in all that libraries read when they are
imported: when this process's own has changed in that, another server takes the place of the first, once nothing of it
runs. Anywhere else `fork` returns None, and the worker is a fresh process.

    this process --socket: {"module", "env", "cwd"} and four descriptors--> server --fork--> worker: python -m MODULE
                 <--{"pid"}---------------------------------------------
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import runpy
import selectors
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TextIO

_MOST = 2**17
"""Bytes of one request; an environment that is larger gets a fresh process."""

_GPUS = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")

_READ_AT_IMPORT = (
    *("OMP_", "MKL_", "KMP_", "GOMP_", "OPENBLAS_", "NUMEXPR_", "TORCH", "PYTORCH_", "CUDA", "ATEN_", "DNNL_"),
    *("HF_", "HUGGINGFACE_", "HUB_", "TRANSFORMERS_", "TOKENIZERS_", "ACCELERATE_", "USE_", "TQDM_", "SAFETENSORS_"),
    *("PYTHON", "LD_", "MALLOC_", "HOME", "XDG_", "TMPDIR", "LANG", "LC_"),
)
"""How the names of the variables begin that libraries may read when they are imported."""


class Forked:
    """A forked worker, as `subprocess.Popen` would show it; it is no child of this process."""

    def __init__(self, pid: int, stdin: TextIO, ended: int) -> None:
        """Take the id, the pipe to its standard input, and the descriptor that tells its exit status."""
        self.pid, self.stdin = pid, stdin
        self.returncode: int | None = None
        self._ended = ended

    def wait(self, timeout: float | None = None) -> int:
        """Wait until it has ended; its exit status, negative for a signal.

        Raises:
            subprocess.TimeoutExpired: it has not, within so many seconds.
        """
        if self.returncode is None:
            with selectors.DefaultSelector() as selector:
                selector.register(self._ended, selectors.EVENT_READ)
                if not selector.select(timeout):
                    raise subprocess.TimeoutExpired("a forked worker", timeout or 0.0)
            said = os.read(self._ended, 16)
            os.close(self._ended)
            self.returncode = int(said) if said else -signal.SIGKILL  # the server is gone: it was ended from outside
        return self.returncode

    def has_ended(self) -> bool:
        """Whether it has ended; its status, which may be waited for elsewhere, stays there."""
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        return False


class _Server:
    """This process's side of its fork server."""

    def __init__(self, env: Mapping[str, str], module: str = "lidr.worker.fork_server") -> None:
        """Start it; `module` is what runs as the server: one that calls `main`, and may have imported more before."""
        self.env, self._owner = dict(env), os.getpid()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", module, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,  # what it imports may warn; a worker's own log comes with each request
                pass_fds=(theirs.fileno(),),
                env=self.env,
                start_new_session=True,
            )
        self._socket = ours
        self._forked: list[Forked] = []

    def is_ours(self) -> bool:
        """Whether it runs, and was started by this process and not by one that this was forked from."""
        return self._owner == os.getpid() and self._process.poll() is None

    def is_idle(self) -> bool:
        """Whether all that it has forked has ended."""
        self._forked = [forked for forked in self._forked if not forked.has_ended()]
        return not self._forked

    def fork(self, request: bytes, log: int, replies: int) -> Forked | None:
        read_stdin, write_stdin = os.pipe()
        read_ended, write_ended = os.pipe()
        try:
            socket.send_fds(self._socket, [request], [read_stdin, log, replies, write_ended])
            answer = self._socket.recv(64)
        except OSError:
            answer = b""
        os.close(read_stdin)
        os.close(write_ended)
        if not answer:
            os.close(write_stdin)
            os.close(read_ended)
            return None
        self._forked.append(Forked(int(answer), os.fdopen(write_stdin, "w", encoding="utf-8"), read_ended))
        return self._forked[-1]

    def close(self) -> None:
        self._socket.close()
        if self._owner == os.getpid():
            self._process.wait()


_LOCK = threading.Lock()
_RUNNING: list[_Server] = []


def fork(module: str, *, usual: Mapping[str, str], more: Mapping[str, str], log: int, replies: int) -> Forked | None:
    """Start `python -m module` as a fork of a process that has imported torch and transformers.

    Args:
        module: what to run.
        usual: the environment of workers.
        more: what this one's has besides.
        log: descriptor of what receives its prints.
        replies: descriptor that it keeps, under a number of its own in LIDR_WORKER_FD.

    Returns:
        The worker, at the head of a process group of its own; None where a fresh process is to be started instead.
    """
    if sys.platform != "linux" or any(Path(gpu).exists() for gpu in _GPUS):
        return None
    env = {**usual, **more}
    request = json.dumps({"module": module, "env": env, "cwd": os.getcwd()}).encode()
    if len(request) > _MOST or _at_import(env) != _at_import(usual):
        return None
    with _LOCK:
        if _RUNNING and (not _RUNNING[0].is_ours() or (not _suits(_RUNNING[0], env) and _RUNNING[0].is_idle())):
            _RUNNING.pop().close()
        if not _RUNNING:
            _RUNNING.append(_Server(usual))
        server = _RUNNING[0]
        return server.fork(request, log, replies) if _suits(server, env) else None


def _suits(server: _Server, env: Mapping[str, str]) -> bool:
    return _at_import(env) == _at_import(server.env)


def _at_import(env: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in env.items() if name.startswith(_READ_AT_IMPORT)}


@atexit.register
def close_fork_server() -> None:
    """End the server, if there is one; workers that run are not touched."""
    with _LOCK:
        if _RUNNING:
            _RUNNING.pop().close()


def _serve(control: socket.socket) -> str | None:
    """Fork workers until the other side is gone; returns the module to run in each worker, None in the server."""
    import torch  # noqa: F401  # what all workers import
    import transformers

    _ = transformers.AutoModelForCausalLM, transformers.AutoTokenizer, transformers.GenerationConfig
    gc.collect()
    gc.freeze()  # pages that no collection writes to stay shared
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    ends: dict[int, int] = {}
    with selectors.DefaultSelector() as selector:
        for source in (control.fileno(), woken):
            selector.register(source, selectors.EVENT_READ)
        while True:
            ready = {key.fd for key, _ in selector.select()}
            if woken in ready:
                os.read(woken, 4096)
                _tell_ended(ends)
            if control.fileno() not in ready:
                continue
            text, fds, _, _ = socket.recv_fds(control, _MOST, 4)
            if not text:
                return None
            *of_worker, ended = fds
            if (pid := os.fork()) == 0:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                control.close()
                for descriptor in (woken, wake, ended, *ends.values()):
                    os.close(descriptor)
                return _become(json.loads(text), *of_worker)
            for descriptor in of_worker:
                os.close(descriptor)
            ends[pid] = ended
            control.send(str(pid).encode())


def _tell_ended(ends: dict[int, int]) -> None:
    """Pass on the exit status of each worker that has ended."""
    for pid, end in [*ends.items()]:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            os.write(end, str(os.waitstatus_to_exitcode(status)).encode())
            os.close(end)
            del ends[pid]


def _become(request: dict[str, object], stdin: int, log: int, replies: int) -> str:
    """Turn this fork into what a fresh process of the module would be; returns the module."""
    os.setsid()
    for source, target in ((stdin, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    os.close(stdin)
    os.close(log)
    sys.stdin, sys.stdout, sys.stderr = (os.fdopen(number, mode, 1) for number, mode in ((0, "r"), (1, "w"), (2, "w")))
    os.environ.clear()
    os.environ.update({**dict(request["env"]), "LIDR_WORKER_FD": str(replies)})  # type: ignore[call-overload]
    os.chdir(str(request["cwd"]))
    sys.path[0] = str(request["cwd"])
    return str(request["module"])


def main() -> None:
    """Run the server, and in each fork the worker."""
    module = _serve(socket.socket(fileno=int(sys.argv[1])))
    if module is not None:
        sys.argv = [module]
        runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
