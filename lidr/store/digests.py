"""SHA-256 of large files, kept by path, size and time of change: a plan does not read 16 GB of weights again."""

from __future__ import annotations

import json
from pathlib import Path

from lidr.store.fingerprints import file_sha256
from lidr.store.record import write_json

_LARGE = 1 << 20  # bytes; smaller files are simply read


def kept_sha256(path: Path, store_root: Path) -> str:
    """SHA-256 of a file; of a large one from the store's own notes, where it has not changed since."""
    status = path.stat()
    if status.st_size < _LARGE or not store_root.is_dir():
        return file_sha256(path)
    notes_file = store_root / ".digests.json"
    try:
        notes: dict[str, list[object]] = json.loads(notes_file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        notes = {}
    key, now = str(path.resolve()), [status.st_size, status.st_mtime_ns]
    known = notes.get(key, [])
    if known[:2] == now:
        return str(known[2])
    digest = file_sha256(path)
    write_json(notes_file, {**notes, key: [*now, digest]})
    return digest
