"""Files that are there whole or not at all, also when the machine stops in between."""

from __future__ import annotations

import json
import os
import uuid
from pathlib import Path
from typing import Any

TEMPORARY = ".tmp-"


def temporary_beside(path: Path) -> Path:
    """A name in the same folder that no reader looks at; left over after a crash, it is removed at the next start."""
    return path.with_name(f"{TEMPORARY}{uuid.uuid4().hex}")


def write_atomically(path: Path, content: bytes, *, mode: int = 0o644) -> None:
    """Write a file, flushed to the disk before and after it takes its name."""
    temporary = temporary_beside(path)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with open(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Flush a folder's names to the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_json(path: Path, value: Any, *, mode: int = 0o644) -> None:
    """Write JSON atomically."""
    write_atomically(path, json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode(), mode=mode)


def read_json(path: Path) -> Any:
    """Read JSON; None when the file is not there."""
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
