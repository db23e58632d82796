"""Whether a node has the model that is meant, byte for byte: names, sizes and SHA-256 of its files."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from lidr.errors import EngineError

Stamps = Mapping[str, tuple[int, int]]
"""Name of a file -> its size in bytes and when it was last written, in ns: while these stay, so do the bytes."""


def stamps_of(model: Path) -> Stamps:
    """Of each file of a model: of those in its folder, or of itself where it is one file.

    Raises:
        EngineError: nothing is there.
    """
    files = {model.name: model} if model.is_file() else {path.name: path for path in model.glob("*") if path.is_file()}
    if not files:
        raise EngineError(f"no {model}")
    found = {name: path.stat() for name, path in sorted(files.items())}
    return {name: (stat.st_size, stat.st_mtime_ns) for name, stat in found.items()}


def digests_of(model: Path) -> dict[str, str]:
    """SHA-256 of each file of a model, by its name."""
    folder = model.parent if model.is_file() else model
    return {name: _sha256(folder / name) for name in stamps_of(model)}


class Meant(NamedTuple):
    """A model, or an adapter, as it is meant: where it lies, and of each file its bytes and its SHA-256."""

    place: str
    sizes: Mapping[str, int]
    digests: Mapping[str, str]


def meant(model: Path) -> Meant:
    """As it lies here."""
    sizes = {name: size for name, (size, _) in stamps_of(model).items()}
    return Meant(str(model), sizes, digests_of(model))


def fault(model: Path, sizes: Mapping[str, int], digests: Mapping[str, str]) -> str | None:
    """What is wrong with the model as it lies here; None where it is the one that is meant.

    Args:
        model: its folder, or its one file.
        sizes: name -> bytes of what is meant. They are compared first: it costs nothing.
        digests: name -> SHA-256.
    """
    try:
        found = {name: size for name, (size, _) in stamps_of(model).items()}
    except EngineError as error:
        return str(error)
    folder = model.parent if model.is_file() else model
    for name in sizes:
        if name not in found:
            return f"no {folder / name}"
        if found[name] != sizes[name]:
            return f"{folder / name} has {found[name]:,} bytes, {sizes[name]:,} are meant"
    more = sorted(set(found) - set(sizes))
    if more:
        return f"{folder / more[0]} is no file of the model that is meant"
    return next(
        (
            f"{folder / name} has other bytes than the one that is meant"
            for name in sizes
            if _sha256(folder / name) != digests[name]
        ),
        None,
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
