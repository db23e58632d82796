"""Open an engine by its specification; an engine that holds a model runs in a process of its own.

with open_engine(EngineSpec("transformers", model="runs/quickstart/0.1.0/iter_1/train/model"), log=log) as engine:
    for result in engine.generate(requests):
        ...
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from pkgutil import resolve_name

from lidr.engines.engine import ChatRequest, Completion, Engine, EngineSpec, Failure
from lidr.engines.model_folder import ModelFolder
from lidr.engines.process import worker_messages
from lidr.engines.registry import JUDGING, engine_row, engines
from lidr.errors import EngineError
from lidr.extras import require
from lidr.worker import Worker


def open_engine(spec: EngineSpec, *, log: Path) -> Engine:
    """Start the engine that `spec` names.

    Args:
        spec: which engine, and on what.
        log: file that receives, appended, what a worker process prints; unused by engines without one.

    Returns:
        The engine, ready to answer. Use it in a `with` block, or call `close`.

    Raises:
        EngineError: the model or the server cannot be used; the message says why.
        MissingExtraError: the engine's packages are not installed.
    """
    row = engine_row(spec.kind)
    require(row.extra, row.packages, needed_for=f"the engine {spec.kind!r}")
    if spec.adapter is not None and not row.adapters:
        able = ", ".join(engines(lambda one: one.adapters))
        raise EngineError(f"{spec.kind} puts no adapter over a model; {able} do: merge it first (`lidr merge`)")
    if spec.replicas != 1 and row.model != "server":  # a server is asked as one, whatever stands behind it
        require("ray", ("ray",), needed_for=f"runtime.replicas: {spec.replicas}")
        several: Engine = resolve_name("lidr.engines.replicas:open_replicas")(spec, log=log)
        return several
    if row.model != "folder":
        engine: Engine = resolve_name(row.opens)(spec)
        return engine
    ModelFolder(Path(spec.model)).check()
    return ProcessEngine(spec, log=log)


class ProcessEngine(Engine):
    """An engine in a worker process. When it is closed, its memory, GPU included, is free."""

    def __init__(self, spec: EngineSpec, *, log: Path, fresh: bool = False) -> None:
        """Start the worker and load the model; `fresh` as of a Worker."""
        self._spec, self._log, self._row = spec, log, engine_row(spec.kind)
        self._is_fresh = fresh or not self._row.is_forked
        self._worker: Worker | None = self._start()
        self._is_closed = False
        self._is_asking = False

    @property
    def pid(self) -> int | None:
        """The id of the worker's process group; None when no worker runs."""
        return None if self._worker is None else self._worker.pid

    def generate(self, requests: Iterable[ChatRequest | None]) -> Iterator[Completion | Failure]:
        """Answer the requests; the worker takes as many at a time as its engine wants.

        A stream that is left early ends the worker, which would otherwise go on answering; the next call starts it
        again.
        """
        if self._is_closed:
            raise EngineError("this engine is closed")
        handed_over = self._log.with_name(f"{self._log.name}.requests")
        try:
            with closing(worker_messages.RequestWriter(handed_over, requests)) as writer:
                if writer.written:
                    yield from self._ask(handed_over, writer)
        finally:
            handed_over.unlink(missing_ok=True)

    def close(self) -> None:
        """End the worker and everything it started."""
        self._is_closed = True
        self._end()

    def _ask(self, requests: Path, writer: worker_messages.RequestWriter) -> Iterator[Completion | Failure]:
        worker = self._worker = self._worker or self._start()
        self._is_asking = True
        try:
            worker.send({"ask": str(requests.resolve())})
            for reply in worker.replies():
                yield worker_messages.decode_result(reply)
                writer.hear()
            self._is_asking = False
        finally:
            if self._is_asking:
                self._end()

    def _end(self) -> None:
        """End the worker; one that is busy has nothing to finish and gets no grace."""
        if self._worker is not None:
            self._worker.close(grace_s=0 if self._is_asking else self._row.grace_s)
        self._worker, self._is_asking = None, False

    def _start(self) -> Worker:
        worker = Worker("lidr.engines.process.engine_worker", log=self._log, fresh=self._is_fresh)
        try:
            worker.send(
                {
                    "open": asdict(self._spec),
                    "by": JUDGING if self._spec.judges else self._row.opens,
                    "flows": self._row.flows,
                    "log": str(self._log.absolute()),
                }
            )
            for _ in worker.replies():
                pass
        except BaseException:
            worker.close(grace_s=0)
            raise
        return worker
