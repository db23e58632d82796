"""JSON files of the store that say themselves whether they are whole: their last field is a checksum of all the rest.

{"recipe": "quickstart", ..., "checksum": "<64 hex digits>"}

A file without one, of an earlier lidr, is read; nothing can be said of it.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lidr.secrecy import clean_data

CHECKSUM = "checksum"


def write_json(path: Path, value: Any, *, only_changes: bool = False, sealed: bool = False) -> None:
    """Write JSON through a temporary file, flushed to disk before it takes its name.

    Args:
        path: the file.
        value: plain data.
        only_changes: leave the file alone when it says the same already.
        sealed: add the checksum; the value is a mapping.
    """
    if only_changes:
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            if (unsealed(found) if sealed else found) == value:
                return
        except (FileNotFoundError, ValueError, RecursionError):
            pass
    text = clean_data(json.dumps(value, ensure_ascii=False, indent=1))
    if sealed:
        content = json.loads(text)  # as it is read back: without secrets, and its keys are texts
        text = json.dumps({**content, CHECKSUM: _checksum(content)}, ensure_ascii=False, indent=1)
    temporary = path.with_name(f".{path.name}.tmp")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def read_sealed(path: Path) -> dict[str, Any]:
    """The content of a sealed file, without its checksum.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is damaged; the message says how.
    """
    try:
        return unsealed(json.loads(path.read_text(encoding="utf-8")))
    except UnicodeDecodeError:
        raise ValueError("no UTF-8") from None
    except (json.JSONDecodeError, RecursionError):
        raise ValueError("no JSON object") from None


def unsealed(content: Any) -> dict[str, Any]:
    """The content without its checksum.

    Raises:
        ValueError: no object, or its checksum is of another content.
    """
    if not isinstance(content, dict):
        raise ValueError("no JSON object")
    kept = {name: value for name, value in content.items() if name != CHECKSUM}
    if CHECKSUM in content and content[CHECKSUM] != _checksum(kept):
        raise ValueError("its checksum is of another content: it was altered since lidr wrote it")
    return kept


def _checksum(value: Mapping[str, Any]) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
