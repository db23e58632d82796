"""record.json: what an artifact is, what it was made from and how, and what its files are.

It is written last, so its presence means that the artifact is complete.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from lidr.errors import StoreError

RECORD_SCHEMA = 1
RECORD_FILE = "record.json"


@dataclass(frozen=True)
class FileEntry:
    """One file of an artifact. `rows` is None for files that hold no rows."""

    path: str
    bytes: int
    sha256: str
    rows: int | None = None


@dataclass(frozen=True)
class Rate:
    """How fast the step ran, for the time estimates of later plans."""

    unit: str  # requests, pairs, prompts
    count: int
    elapsed_s: float


@dataclass(frozen=True)
class Record:
    """The description of one artifact.

    Args:
        identity: everything that can change the result; its hash is the fingerprint.
        execution: where and how it ran: engine batch, threads, machine. Never part of the identity.
        inputs: name of each input -> the artifact's place, fingerprint and digest.
        files: every file of the artifact but this record.
        digest: SHA-256 over the files of `data/`, or of the model.
        counts: what the step counted, by name; nested where a count has parts.
    """

    recipe: str
    version: str
    iteration: int
    step: str
    writes: str
    fingerprint: str
    identity: dict[str, Any]
    execution: dict[str, Any]
    inputs: dict[str, dict[str, str]]
    files: tuple[FileEntry, ...]
    digest: str
    counts: dict[str, Any]
    rate: Rate
    finished: str  # UTC, ISO 8601
    versions: dict[str, str]
    reused_from: str | None = None
    schema: int = field(default=RECORD_SCHEMA)

    @property
    def place(self) -> str:
        """Where the artifact stands below the run's version: `iter_1/pair`."""
        return f"iter_{self.iteration}/{self.step}"


def write_record(folder: Path, record: Record) -> None:
    """Write record.json so that it is there whole or not at all."""
    write_json(folder / RECORD_FILE, asdict(record))


def write_json(path: Path, value: Any, *, only_changes: bool = False) -> None:
    """Write JSON through a temporary file, flushed to disk before it takes its name.

    Args:
        path: the file.
        value: plain data.
        only_changes: leave the file alone when it says the same already.
    """
    if only_changes:
        try:
            if json.loads(path.read_text(encoding="utf-8")) == value:
                return
        except (FileNotFoundError, ValueError):
            pass
    temporary = path.with_name(f".{path.name}.tmp")
    with temporary.open("w", encoding="utf-8") as file:
        json.dump(value, file, ensure_ascii=False, indent=1)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def read_record(folder: Path) -> Record | None:
    """Read the artifact's record; None when there is none, so no complete artifact.

    Raises:
        StoreError: the record is damaged, or from a newer lidr.
    """
    path = folder / RECORD_FILE
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        schema = raw.get("schema")
    except FileNotFoundError:
        return None
    except (ValueError, AttributeError):
        raise StoreError(
            f"{path}: damaged, no JSON object. Make the step again with --rebuild {folder.parent.name}/{folder.name}"
        ) from None
    if schema != RECORD_SCHEMA:
        raise StoreError(
            f"{path}: record schema {schema}, this lidr reads {RECORD_SCHEMA}: the store was written by another lidr. "
            "Update lidr, or use another store (--set runtime.store=FOLDER)"
        )
    try:
        return record_of(raw)
    except ValueError as error:
        raise StoreError(
            f"{path}: damaged ({error}). Make the step again with --rebuild {folder.parent.name}/{folder.name}"
        ) from None


def record_of(raw: Mapping[str, Any]) -> Record:
    """A record of what stands in its file.

    Raises:
        ValueError: a field is missing, unknown, or of another type; the message names it.
    """
    try:
        Record(**{**raw, "files": [FileEntry(**entry) for entry in raw["files"]], "rate": Rate(**raw["rate"])})
        return _types().validate_python(raw)
    except KeyError as error:
        raise ValueError(f"no {error}") from None
    except TypeError as error:  # a field that is missing or unknown
        raise ValueError(str(error)) from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise ValueError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None


@cache
def _types() -> TypeAdapter[Record]:
    return TypeAdapter(Record)
