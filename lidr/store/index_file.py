"""The file in which a store remembers what reading cost time: <store>/.index.sqlite.

It is a memory and may go at any time. Where there is none and none can be made (a read-only store, a full disk, no
locks), things are read instead; one that is damaged is made again. Any number of processes may use it at once.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

INDEX_FILE = ".index.sqlite"

TICK_S = 0.02
"""Two changes within one tick of the kernel's clock have the same times, so a file that young is read anew."""

_COARSE_S = 2.0  # file systems that keep whole seconds, or even ones
_PATIENCE_S = 2.0  # for the index; it is only a memory


class Stamp(NamedTuple):
    """What a file system says of a file."""

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int

    @property
    def is_settled(self) -> bool:
        """Whether a later change would have other times."""
        coarse = self.ctime_ns % 1_000_000_000 == 0
        return time.time_ns() - self.ctime_ns > (_COARSE_S if coarse else TICK_S) * 1e9


def stamp_of(path: Path | str) -> Stamp:
    """The stamp of a file.

    Raises:
        OSError: there is none.
    """
    status = os.stat(path)
    return Stamp(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)


@contextmanager
def opened(store_root: Path) -> Iterator[sqlite3.Connection | None]:
    """The index; None where there is none and none can be made."""
    if not store_root.is_dir():
        yield None
        return
    try:
        index = sqlite3.connect(store_root / INDEX_FILE, timeout=_PATIENCE_S, isolation_level=None)
    except sqlite3.Error:
        yield None
        return
    with closing(index):
        yield index


def looked_up(store_root: Path, ask: Callable[[sqlite3.Connection], None]) -> None:
    """Ask the index, if there is one; what fails is not known, and `ask` has kept what came before."""
    if not (store_root / INDEX_FILE).is_file():
        return
    with opened(store_root) as index, suppress(sqlite3.Error, TypeError, ValueError):
        if index is not None:
            ask(index)


def remember(store_root: Path, statements: Sequence[tuple[str, Sequence[tuple[Any, ...]]]]) -> None:
    """Carry out statements, each for all its rows, as one change; without a word where that is not possible."""
    try:
        _write(store_root, statements)
    except (sqlite3.OperationalError, OverflowError, ValueError):
        return  # read-only, full, locked, no locks on this disk; an inode or a name that SQLite cannot hold
    except sqlite3.DatabaseError:  # damaged: it is made again
        with suppress(OSError, sqlite3.Error):
            (store_root / INDEX_FILE).unlink(missing_ok=True)
            _write(store_root, statements)


def _write(store_root: Path, statements: Sequence[tuple[str, Sequence[tuple[Any, ...]]]]) -> None:
    with opened(store_root) as index:
        if index is None:
            return
        index.execute("PRAGMA synchronous = OFF")  # losing it costs one reading
        index.execute("BEGIN IMMEDIATE")
        for statement, rows in statements:
            index.executemany(statement, rows)
        index.execute("COMMIT")
