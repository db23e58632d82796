"""The worker that holds a model: `python -m lidr.engines.process.engine_worker`, started by engine_process alone."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

from lidr.engines.engine import Engine, EngineSpec
from lidr.engines.process import worker_messages
from lidr.errors import EngineError, LidrError
from lidr.worker import explained, serve


class Child:
    """Opens one engine and passes requests to it."""

    def __init__(self) -> None:
        self._engine: Engine | None = None
        self._flows = False

    def handle(self, message: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Answer one message of the parent: see lidr.engines.process.worker_messages."""
        if "open" in message:
            self._engine = _open(EngineSpec(**message["open"]), message["by"], message["log"])
            self._flows = message["flows"]
            return
        if self._engine is None:
            raise EngineError("the first message to an engine's worker must open it")
        answered = 0
        asked = worker_messages.read_requests(Path(message["ask"]), lambda: answered, flows=self._flows)
        for result in self._engine.generate(asked):
            answered += 1
            yield worker_messages.encode_result(result)

    def close(self) -> None:
        """Let the engine end what it started."""
        if self._engine is not None:
            self._engine.close()


def _open(spec: EngineSpec, by: str, log: str) -> Engine:
    """The engine; what a library raises ends in the log, where vLLM's own processes say why they died."""
    began = Path(log).stat().st_size if Path(log).exists() else 0
    try:
        engine: Engine = resolve_name(by)(spec)
        return engine
    except LidrError:
        raise
    except Exception as error:
        traceback.print_exc()
        said = explained(f"{type(error).__name__}: {error}", Path(log), began)
        raise EngineError(f"{spec.kind} cannot load {spec.model}: {said}. Its log is {log}") from error


if __name__ == "__main__":  # vLLM's processes import this module under another name
    child = Child()
    serve(child.handle)
    child.close()
