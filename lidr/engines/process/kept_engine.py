"""An engine that stays open from one step to the next that asks the same weights: it is loaded once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from lidr.engines.engine import Engine, EngineSpec
from lidr.engines.process import engine_process
from lidr.engines.registry import engine_row


class KeptEngine:
    """At most one engine, that of the last `use`. It holds a model's memory until `close`."""

    def __init__(self, log: Path) -> None:
        """Open nothing yet; `log` receives what workers print, and is removed when all has ended well."""
        self._log = log
        self._spec: EngineSpec | None = None
        self._engine: Engine | None = None

    @contextmanager
    def use(self, spec: EngineSpec) -> Iterator[Engine]:
        """The engine of a specification: the one that is open, if it is of this, else a new one in its place.

        It stays open after the block, unless the block fails or the engine holds no model.

        Raises:
            EngineError, MissingExtraError: as `open_engine`.
        """
        if spec != self._spec:
            self.close()
            self._engine, self._spec = engine_process.open_engine(spec, log=self._log), spec
        assert self._engine is not None
        is_kept = False
        try:
            yield self._engine
            is_kept = engine_row(spec.kind).model == "folder"
        finally:
            if not is_kept:
                self.close()

    def close(self) -> None:
        """End the engine, if one is open: its memory, GPU included, is free."""
        engine, self._engine, self._spec = self._engine, None, None
        if engine is not None:
            engine.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self.close()
        if kind is None:
            self._log.unlink(missing_ok=True)
