"""What makes two outputs the same output: a hash over everything that can change the result, and nothing else.

>>> fingerprint({"b": 0.1, "a": [1, None]}) == fingerprint({"a": [1, None], "b": 0.1})
True
>>> difference({"train": {"beta": 0.1}}, {"train": {"beta": 0.2}})
['train.beta: 0.1 -> 0.2']
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lidr.errors import StoreError

_ABSENT = "(absent)"


def fingerprint(identity: Mapping[str, Any]) -> str:
    """SHA-256 (64 hex digits) of the identity in canonical JSON.

    Raises:
        StoreError: a value without a deterministic form; it is never turned into str(value).
    """
    _check(identity, "identity")
    text = json.dumps(identity, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _check(value: Any, where: str) -> None:
    if isinstance(value, Mapping):
        for key, child in value.items():
            if not isinstance(key, str):
                raise StoreError(f"{where}: the key {key!r} is no text, so it has no place in a fingerprint")
            _check(child, f"{where}.{key}")
    elif isinstance(value, list | tuple):
        for number, child in enumerate(value):
            _check(child, f"{where}[{number}]")
    elif isinstance(value, float) and not math.isfinite(value):
        raise StoreError(f"{where}: {value} has no deterministic form for a fingerprint; give a finite number")
    elif value is not None and not isinstance(value, str | int | float | bool):
        raise StoreError(
            f"{where}: a {type(value).__name__} has no deterministic form for a fingerprint; allowed: text, numbers, "
            "true, false, null, and lists and mappings of these"
        )


def difference(old: Any, new: Any, path: str = "") -> list[str]:
    """Name each field that differs, with its old and new value."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        keys = [*old, *(key for key in new if key not in old)]
        return [
            line
            for key in keys
            for line in difference(old.get(key, _ABSENT), new.get(key, _ABSENT), f"{path}.{key}".removeprefix("."))
        ]
    old, new = _plain(old), _plain(new)
    return [] if old == new else [f"{path}: {_short(old)} -> {_short(new)}"]


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 72 else text[:69] + "..."


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def folder_sha256(files: Mapping[str, str]) -> str:
    """SHA-256 over (relative path, file SHA-256) of a folder's files, whatever their order."""
    return hashlib.sha256(json.dumps(sorted(files.items())).encode()).hexdigest()
