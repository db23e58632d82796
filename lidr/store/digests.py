"""SHA-256 of files: as this process read them, or as the store's index remembers them.

<store>/.index.sqlite   files: path -> size, mtime_ns, ctime_ns, inode, sha256     (a memory: it may go at any time)

A file whose size, times and inode are those of the memory is taken to be unchanged. A tool that puts mtime back leaves
a trace in ctime, so that is seen; what changes below the file system (a failing disk, a write to the raw device) leaves
none and is only seen when the file is hashed again. So whoever uses a content hashes it: `hashed`. `kept_sha256` is for
plans, and for reruns that use none.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from lidr.store.fingerprints import file_sha256
from lidr.store.index_file import Stamp, looked_up, remember, stamp_of

_AT_ONCE = 500  # SQLite allows 999 parameters

_TABLE = """CREATE TABLE IF NOT EXISTS files (
  path TEXT PRIMARY KEY, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, ctime_ns INTEGER NOT NULL,
  inode INTEGER NOT NULL, sha256 TEXT NOT NULL
) WITHOUT ROWID"""

_hashed: dict[str, tuple[Stamp, str]] = {}


def hashed(path: Path) -> str:
    """SHA-256 of a file, read by this process; not read a second time while its size, times and inode stay."""
    return _hashed_now(path)[0]


def kept_sha256(path: Path, store_root: Path) -> str:
    """SHA-256 of a file, from the store's index where the file has not changed since."""
    return kept_digests([path], store_root)[0]


def kept_digests(paths: Sequence[Path], store_root: Path) -> list[str]:
    """The same of several files, in one look into the index."""
    stamps = [stamp_of(path) for path in paths]
    root = store_root.resolve()
    keys = [os.path.relpath(path.resolve(), root) for path in paths]  # so that a store can be moved
    known = _remembered(keys, store_root)
    found, new = list[str](), list[tuple[str, Stamp, str]]()
    for path, key, stamp in zip(paths, keys, stamps, strict=True):
        if key in known and known[key][0] == stamp:
            found.append(known[key][1])
            continue
        digest, read = _hashed_now(path)
        found.append(digest)
        if read is not None:
            new.append((key, read, digest))
    _remember(new, store_root)
    return found


def _hashed_now(path: Path) -> tuple[str, Stamp | None]:
    """The digest, and what it belongs to; None where the file may change without a trace."""
    key, before = os.path.abspath(path), stamp_of(path)
    stamp, digest = _hashed.get(key, (None, ""))
    if stamp == before:
        return digest, before
    is_settled = before.is_settled
    digest = file_sha256(path)
    if not is_settled or stamp_of(path) != before:
        return digest, None
    _hashed[key] = before, digest
    return digest, before


def _remembered(keys: Sequence[str], store_root: Path) -> dict[str, tuple[Stamp, str]]:
    found: dict[str, tuple[Stamp, str]] = {}

    def ask(index: sqlite3.Connection) -> None:
        for start in range(0, len(keys), _AT_ONCE):
            some = keys[start : start + _AT_ONCE]
            rows = index.execute(f"SELECT * FROM files WHERE path IN ({','.join('?' * len(some))})", some)
            found.update({path: (Stamp(*stamp), str(digest)) for path, *stamp, digest in rows})

    looked_up(store_root, ask)
    return found


def _remember(rows: Sequence[tuple[str, Stamp, str]], store_root: Path) -> None:
    values = [(path, *stamp, digest) for path, stamp, digest in rows]
    if values:
        remember(store_root, [(_TABLE, [()]), ("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?)", values)])
