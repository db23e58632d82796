"""What runs in an actor: one engine, a thread that works, and calls that bring requests and fetch answers.

The engine is opened as everywhere: one with a model is in a worker process (lidr/worker/), which sees this process end
and then ends itself and all that it started. So nothing of a killed replica, its GPU's memory included, lives on,
whoever killed it.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import platform
import queue
import socket
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from pkgutil import resolve_name

from lidr.engines.engine import ChatRequest, Completion, Engine, EngineSpec, Failure
from lidr.engines.process import ProcessEngine
from lidr.engines.registry import distributions, engine_row
from lidr.engines.replicas.model_proof import Meant, Stamps, fault, stamps_of
from lidr.errors import LidrError, WorkerDied
from lidr.version import __version__

_GATHER_S = 0.2
"""So long answers wait for company on their way: each journey costs the driver half a millisecond."""
_PATIENCE_S = 5.0

COMPARED = (*distributions(), "tokenizers")
"""Packages of which all nodes must have the same version as the driver, besides lidr and Python."""


@dataclass
class Heard:
    """What a replica has to say.

    Args:
        answers: number of the chunk, and an answer to one of its requests.
        done: numbers of chunks that are at their end.
        error: what is wrong with the work itself; nothing is answered any more.
        death: its worker process ended; this replica is of no more use.
    """

    answers: list[tuple[int, Completion | Failure]] = field(default_factory=list)
    done: list[int] = field(default_factory=list)
    error: str | None = None
    death: str | None = None

    @property
    def is_last(self) -> bool:
        """Whether no more can come soon."""
        return bool(self.done or self.error or self.death)


@dataclass(frozen=True)
class Hello:
    """Who a replica is: its node in Ray's words, the node's name, its process, and the versions of its packages."""

    node: str
    host: str
    pid: int
    versions: Mapping[str, str] = field(hash=False)

    def log_name(self, log: Path) -> Path:
        """Where its worker prints, beside a log of the driver's."""
        return log.with_name(f"{log.name}.{self.host}.{self.pid}")


class Replica:
    """One engine; its methods are called from the driver, several at a time."""

    def __init__(self) -> None:
        """Hold nothing yet."""
        self._inbox: queue.SimpleQueue[tuple[int, list[ChatRequest]]] = queue.SimpleQueue()
        self._outbox: queue.SimpleQueue[Heard] = queue.SimpleQueue()
        self._engine: Engine | None = None
        self._log: Path | None = None

    def hello(self) -> Hello:
        """Say who is there."""
        import ray

        return Hello(ray.get_runtime_context().get_node_id(), socket.gethostname(), os.getpid(), versions())

    def prove(self, folders: Sequence[Meant]) -> tuple[str | None, Stamps]:
        """What is wrong with the model, or with the adapter over it, on this node, and the stamps of the model's
        files.
        """
        for one in folders:
            if (wrong := fault(Path(one.place), one.sizes, one.digests)) is not None:
                return wrong, {}
        return None, stamps_of(Path(folders[0].place))

    def open(self, spec: EngineSpec, log: str) -> Heard:
        """Load the model; `log` is where the driver's workers print: this one prints beside it, where that is here."""
        try:
            self._engine = self._opened(spec, Path(log))
        except WorkerDied as error:
            return Heard(death=str(error))
        except LidrError as error:
            return Heard(error=str(error))
        threading.Thread(target=self._work, daemon=True).start()
        return Heard()

    def take(self, number: int, requests: list[ChatRequest]) -> None:
        """Answer these after what is there already."""
        self._inbox.put((number, requests))

    def collect(self) -> Heard:
        """What has been answered since the last call; waits some seconds for a first answer, then a little for more."""
        heard = Heard()
        until = time.monotonic() + _PATIENCE_S
        while not heard.is_last:
            try:
                new = self._outbox.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                break
            if not heard.answers:
                until = time.monotonic() + _GATHER_S
            heard.answers += new.answers
            heard.done += new.done
            heard.error, heard.death = new.error, new.death
        return heard

    def end(self) -> None:
        """End the engine and all that it started, also one that hangs; its log stays."""
        if self._engine is not None:
            self._engine.close()

    def close(self) -> None:
        """End the engine and all that it started; its log stays where an error names it."""
        self.end()
        if self._log is not None:
            self._log.unlink(missing_ok=True)

    def _opened(self, spec: EngineSpec, log: Path) -> Engine:
        row = engine_row(spec.kind)
        if row.model != "folder":
            engine: Engine = resolve_name(row.opens)(spec)
            return engine
        os.environ.setdefault("VLLM_CPU_OMP_THREADS_BIND", "nobind")  # else all on a machine lie on its first cores
        if spec.threads:
            os.environ["OMP_NUM_THREADS"] = str(spec.threads)
        beside = log if log.parent.is_dir() else Path(tempfile.gettempdir()) / log.name
        self._log = self.hello().log_name(beside)
        return ProcessEngine(replace(spec, replicas=1), log=self._log, fresh=True)

    def _work(self) -> None:
        assert self._engine is not None
        while True:
            number, requests = self._inbox.get()
            try:
                for answer in self._engine.generate(requests):
                    self._outbox.put(Heard(answers=[(number, answer)]))
                self._outbox.put(Heard(done=[number]))
            except WorkerDied as error:
                self._log = None
                self._outbox.put(Heard(death=str(error)))
                return
            except LidrError as error:
                self._log = None
                self._outbox.put(Heard(error=str(error)))
            except Exception as error:
                self._outbox.put(Heard(error=f"{type(error).__name__}: {error}"))


def versions() -> dict[str, str]:
    """Of what can change an answer, as far as it is installed."""
    found = {"lidr": __version__, "Python": ".".join(platform.python_version_tuple()[:2])}
    for name in COMPARED:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found
