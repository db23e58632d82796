"""record.json: what an artifact is, what it was made from and how, and what its files are.

It is written last, so its presence means that the artifact is complete. Its checksum says whether it is as it was
written; records of an earlier lidr have none and are checked by the digests that they hold.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from lidr.errors import OtherLidrError, StoreError
from lidr.store.fingerprints import fingerprint, folder_sha256
from lidr.store.index_file import Stamp, stamp_of
from lidr.store.sealed_json import CHECKSUM, unsealed, write_json
from lidr.version import __version__

RECORD_SCHEMA = 1
RECORD_FILE = "record.json"
_CONTENT = (("data/", "model/"), ("base/", "adapter/"))


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
    finished: str  # UTC, ISO 8601: when all files were there; taken over, when that was
    versions: dict[str, str]
    reused_from: str | None = None
    schema: int = field(default=RECORD_SCHEMA)

    @property
    def place(self) -> str:
        """Where the artifact stands below the run's version: `iter_1/pair`."""
        return f"iter_{self.iteration}/{self.step}"


def write_record(folder: Path, record: Record) -> None:
    """Write record.json so that it is there whole or not at all."""
    write_json(folder / RECORD_FILE, asdict(record), sealed=True)


def read_record(folder: Path, *, is_checked: bool = True) -> Record | None:
    """Read the artifact's record; None when there is none, so no complete artifact.

    Args:
        folder: of the artifact.
        is_checked: whether its own digests must fit each other; without, only its checksum, where it has one.

    Returns:
        The record; one that this process has read, and whose file has not changed since, is not read again.

    Raises:
        StoreError: the record is damaged.
        OtherLidrError: it is as another lidr wrote it, and this one does not read it.
    """
    record = _read_once(folder / RECORD_FILE)
    if record is not None and is_checked and (wrong := contradiction(record)):
        raise _damaged(folder / RECORD_FILE, f"damaged ({wrong})")
    return record


_MOST_KNOWN = 2_000  # of some 10 kB
_known: dict[str, tuple[Stamp, Record]] = {}


def _read_once(path: Path) -> Record | None:
    try:
        before = stamp_of(path)
    except OSError:
        return _read(path)
    key = os.path.abspath(path)
    if (known := _known.get(key)) is not None and known[0] == before:
        return known[1]
    is_settled = before.is_settled
    record = _read(path)
    if record is not None and is_settled and stamp_of(path) == before:
        if len(_known) >= _MOST_KNOWN:
            _known.clear()
        _known[key] = before, record
    return record


def _read(path: Path) -> Record | None:
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        schema = raw.get("schema")
    except FileNotFoundError:
        return None
    except (ValueError, AttributeError, RecursionError):
        raise _damaged(path, "damaged, no JSON object") from None
    if schema != RECORD_SCHEMA:
        raise OtherLidrError(
            f"{path}: record schema {schema}, this lidr reads {RECORD_SCHEMA}: the store was written by another lidr. "
            "Update lidr, or use another store (--store FOLDER)"
        )
    try:
        content = unsealed(raw)
    except ValueError as error:
        raise _damaged(path, f"damaged ({error})") from None
    try:
        return record_of(content)
    except ValueError as error:
        if CHECKSUM in raw:
            raise _of_another_lidr(path, content, str(error)) from None
        raise _damaged(path, f"damaged ({error})") from None


def _of_another_lidr(path: Path, content: Mapping[str, Any], what: str) -> OtherLidrError:
    """A record that is as it was written, and not as this lidr writes it."""
    versions = content.get("versions")
    writer = versions.get("lidr", "unknown") if isinstance(versions, dict) else "unknown"
    return OtherLidrError(
        f"{path}: written by lidr {writer}; this lidr, {__version__}, does not read it ({what}). The record is as it "
        "was written: use the lidr that wrote it or a newer one, or another store (--set runtime.store=FOLDER)"
    )


def _damaged(path: Path, what: str) -> StoreError:
    return StoreError(
        f"{path}: {what}. Make the step again with --rebuild {path.parent.parent.name}/{path.parent.name}"
    )


def contradiction(record: Record) -> str | None:
    """What a record says of itself that cannot be; None where all fits. A record of an earlier lidr has no checksum,
    but it has these digests. One whose step was made again from a release holds the release's fingerprint.
    """
    is_reproduced = "identity" in record.identity
    is_named = bool(record.fingerprint or record.identity)
    if is_named and not is_reproduced and _fingerprint(record) != record.fingerprint:
        return "its fingerprint is not that of the settings that it holds: one of both was altered"
    if record.files and record.digest not in (content_digest(record.files), _digest_before(record.files)):
        return "its digest is not that of the files that it names: one of both was altered"
    if outside := [entry.path for entry in record.files if not _is_inside(entry.path)]:
        return f"it names a file outside its folder, {outside[0]}"
    said = {} if is_reproduced else record.identity.get("inputs", {})
    if any(name in said and said[name] != one.get("fingerprint") for name, one in record.inputs.items()):
        return "its inputs are not those of its settings: one of both was altered"
    return None


def content_digest(files: Iterable[FileEntry]) -> str:
    """The digest of an artifact: over its rows or its model, of an adapter over a model over both; of one that has
    none of these, as a release, over all files.
    """
    named = {entry.path: entry.sha256 for entry in files}
    found = ({path: sha for path, sha in named.items() if path.startswith(among)} for among in _CONTENT)
    return folder_sha256(next(filter(None, found), named))


def _digest_before(files: Iterable[FileEntry]) -> str:
    """As lidr wrote it once: of what has neither rows nor a model, over nothing."""
    return folder_sha256({entry.path: entry.sha256 for entry in files if entry.path.startswith(_CONTENT[0])})


def _fingerprint(record: Record) -> str | None:
    try:
        return fingerprint(record.identity)
    except StoreError:  # what has no deterministic form was never written
        return None


def _is_inside(path: str) -> bool:
    return bool(path) and not path.startswith("/") and ".." not in path.split("/")


def record_of(raw: Mapping[str, Any]) -> Record:
    """A record of what stands in its file.

    Raises:
        ValueError: a field is missing, unknown, or of another type; the message names it.
    """
    try:
        if unknown := _unknown_fields(raw):
            raise ValueError(f"unknown fields {', '.join(map(repr, unknown))}")
        Record(**{**raw, "files": [FileEntry(**entry) for entry in raw["files"]], "rate": Rate(**raw["rate"])})
        return _types().validate_python(raw)
    except KeyError as error:
        raise ValueError(f"no {error}") from None
    except TypeError as error:  # a field that is missing or unknown
        raise ValueError(str(error)) from None
    except ValidationError as error:
        first = error.errors()[0]
        raise ValueError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None


def _unknown_fields(raw: Mapping[str, Any]) -> list[str]:
    """Names that the classes do not have, sorted."""
    parts = [("", Record, raw), ("rate.", Rate, raw["rate"]), *(("files.", FileEntry, one) for one in raw["files"])]
    return sorted({f"{at}{name}" for at, kind, part in parts for name in {*part} - {f.name for f in fields(kind)}})


@cache
def _types() -> TypeAdapter[Record]:
    return TypeAdapter(Record)
