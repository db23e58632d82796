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
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lidr.errors import StoreError

_ABSENT = "(absent)"
_LONGEST = 72
_SHA256 = re.compile(r"[0-9a-f]{64}")


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
    """Name each field that differs, with its old and new value; of lists that are long or hold digests each entry."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        keys = [*old, *(key for key in new if key not in old)]
        return [
            line
            for key in keys
            for line in difference(old.get(key, _ABSENT), new.get(key, _ABSENT), f"{path}.{key}".removeprefix("."))
        ]
    old, new = _plain(old), _plain(new)
    if old == new:
        return []
    was, now = _text(old), _text(new)
    is_list = isinstance(old, list) and isinstance(new, list) and len(old) == len(new)
    if is_list and (max(len(was), len(now)) > _LONGEST or _SHA256.search(was + now)):
        pairs = enumerate(zip(old, new, strict=True))
        return [line for number, (one, other) in pairs for line in difference(one, other, f"{path}[{number}]")]
    return [f"{path}: {' -> '.join(shown_apart(was, now))}"]


def shown_apart(old: str, new: str, longest: int = _LONGEST) -> tuple[str, str]:
    """Two texts that differ, each cut to at most `longest` characters in which the difference can be seen."""
    alike = next(
        (at for at, (was, now) in enumerate(zip(old, new, strict=False)) if was != now), min(len(old), len(new))
    )
    begin = alike - longest // 3
    if max(len(old), len(new)) <= longest or begin <= 0:
        return _cut(old, longest), _cut(new, longest)
    return _cut(f"...{old[begin:]}", longest), _cut(f"...{new[begin:]}", longest)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _text(value: Any) -> str:
    if isinstance(value, str) and _SHA256.fullmatch(value):
        return f"sha256 {value[:12]}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 3] + "..."


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def folder_sha256(files: Mapping[str, str]) -> str:
    """SHA-256 over (relative path, file SHA-256) of a folder's files, whatever their order."""
    return hashlib.sha256(json.dumps(sorted(files.items())).encode()).hexdigest()
