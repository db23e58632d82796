"""What lidr warns of while it works: handed on to whoever shows it, above a step's bar or from a worker to its parent.

Loggers below `lidr` warn; what `say` tells of itself (`lidr.said`) is no part of it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_LIDR = logging.getLogger("lidr")
_SAID = "lidr.said"


@contextmanager
def showing(show: Callable[[logging.LogRecord], None]) -> Iterator[None]:
    """Hand each warning of lidr to `show` while the block runs; it may come from any thread."""
    handler = _Shown(show)
    _LIDR.addHandler(handler)
    try:
        yield
    finally:
        _LIDR.removeHandler(handler)


class _Shown(logging.Handler):
    def __init__(self, show: Callable[[logging.LogRecord], None]) -> None:
        super().__init__(logging.WARNING)
        self._show = show

    def emit(self, record: logging.LogRecord) -> None:
        if record.name != _SAID:
            self._show(record)
