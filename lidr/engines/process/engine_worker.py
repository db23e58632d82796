"""The worker that holds a model: `python -m lidr.engines.process.engine_worker`, started by engine_process alone."""

from __future__ import annotations

from collections.abc import Iterator
from pkgutil import resolve_name
from typing import Any

from lidr.engines.engine import Engine, EngineSpec
from lidr.engines.process import worker_messages
from lidr.errors import EngineError, LidrError
from lidr.worker import serve


class Child:
    """Opens one engine and passes requests to it."""

    def __init__(self) -> None:
        self._engine: Engine | None = None

    def handle(self, message: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Answer one message of the parent: see lidr.engines.process.worker_messages."""
        if "open" in message:
            self._engine = _open(EngineSpec(**message["open"]), message["by"])
            return
        if self._engine is None:
            raise EngineError("the first message to an engine's worker must open it")
        for result in self._engine.generate(worker_messages.decode_requests(message["ask"])):
            yield worker_messages.encode_result(result)


def _open(spec: EngineSpec, by: str) -> Engine:
    try:
        engine: Engine = resolve_name(by)(spec)
        return engine
    except LidrError:
        raise
    except Exception as error:
        raise EngineError(f"{spec.kind} cannot load {spec.model}: {type(error).__name__}: {error}") from error


if __name__ == "__main__":  # vLLM's processes import this module under another name
    serve(Child().handle)
