"""What a store holds, without reading all of its records: which artifact has a fingerprint, how fast steps were.

<store>/.index.sqlite   records: path -> size, mtime_ns, ctime_ns, inode, fingerprint, recipe, step, done, elapsed_s,
                        measured_on

Every record is looked for each time; one whose size, times and inode are those of the index is not read again. Whoever
uses an artifact reads its record.
"""

from __future__ import annotations

import json
import math
import os
import sqlite3
import zlib
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from lidr.errors import StoreError
from lidr.store.index_file import Stamp, looked_up, remember, stamp_of
from lidr.store.record import RECORD_FILE, RECORD_SCHEMA, Record, read_record
from lidr.store.sealed_json import CHECKSUM, unsealed

_TABLE = """CREATE TABLE IF NOT EXISTS known (
  path TEXT PRIMARY KEY, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, ctime_ns INTEGER NOT NULL,
  inode INTEGER NOT NULL, fingerprint TEXT NOT NULL, recipe TEXT NOT NULL, step TEXT NOT NULL,
  done INTEGER NOT NULL, elapsed_s REAL NOT NULL, measured_on TEXT NOT NULL, crc INTEGER NOT NULL
) WITHOUT ROWID"""


LONG_S, FAR = 60.0, 4
"""A run of fewer seconds is mostly start-up, and its rate counts only for FAR times what it did, at most."""

MEASURED_ON = "measured_on"
"""The key of a record's `execution` under which it stands what its rate is a rate of."""


class Known(NamedTuple):
    """What is remembered of a record."""

    fingerprint: str
    recipe: str
    step: str
    done: int
    elapsed_s: float
    measured_on: str
    """Canonical JSON of `execution.measured_on` of the record; empty where it says nothing."""


class KnownRecords:
    """The complete artifacts of a store, by name, as they are when they are first asked for; those whose record cannot
    be read are left out.
    """

    def __init__(self, root: Path, recipe: str) -> None:
        """Point at the store, for plans of a recipe; nothing is read yet."""
        self._root, self._recipe = root, recipe

    def of(self, fingerprints: Collection[str]) -> Iterator[tuple[Path, Record]]:
        """The artifacts of some fingerprints, by name: each folder and its record, which is read now."""
        folders = [folder for each in fingerprints for folder in self._by_print.get(each, ())]
        for folder in (self._root / folder for folder in sorted(folders, key=_by_parts)):
            with suppress(StoreError):
                record = read_record(folder, is_checked=False)
                if record is not None and record.fingerprint in fingerprints:
                    yield folder, record

    def seconds(self, step: str, count: int, measured_on: Mapping[str, Any]) -> float | None:
        """How long so many units may take, by the rates of a step: of the recipe, else of any; None without any.

        Args:
            step: its name.
            count: units.
            measured_on: model, engine, machine and whatever else decides how fast it is. A rate of anything else does
                not count, and neither does one of a record that does not say, or of a run too short for so many units.
        """
        wanted = _canonical(measured_on)
        mine = [k for k in self._all.values() if k.step == step and k.done and k.measured_on == wanted]
        mine = [known for known in mine if known.elapsed_s >= LONG_S or count <= FAR * known.done]
        same = [known for known in mine if known.recipe == self._recipe] or mine
        done = sum(known.done for known in same)
        return count * sum(known.elapsed_s for known in same) / done if done else None

    @cached_property
    def _by_print(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for folder, known in self._all.items():
            found.setdefault(known.fingerprint, []).append(folder)
        return found

    @cached_property
    def _all(self) -> dict[str, Known]:
        """Folder below the store -> what is known, by name."""
        found, remembered = dict(_stamps(str(self._root))), _remembered(self._root)
        known: dict[str, Known] = {}
        new: list[tuple[Any, ...]] = []
        for folder in sorted(found, key=_by_parts):
            stamp = found[folder]
            if (row := remembered.get(folder)) is not None and row[0] == stamp:
                known[folder] = row[1]
            elif (read := _read(path := self._root / folder / RECORD_FILE)) is not None:
                known[folder] = read
                if stamp.is_settled and _has(path, stamp):
                    new.append((folder, *stamp, *read, _crc(folder, stamp, read)))
        gone = [(folder,) for folder in remembered if folder not in found]
        if new or gone:
            statements: list[tuple[str, list[tuple[Any, ...]]]] = [
                ("DROP TABLE IF EXISTS records", [()]),  # of lidr before rates said what they are rates of
                (_TABLE, [()]),
                (f"INSERT OR REPLACE INTO known VALUES ({', '.join('?' * 12)})", new),
                ("DELETE FROM known WHERE path = ?", gone),
            ]
            remember(self._root, statements)
        return known


def _by_parts(folder: str) -> list[str]:
    return folder.split(os.sep)


def _stamps(root: str) -> Iterator[tuple[str, Stamp]]:
    """Every folder <recipe>/<version>/iter_<k>/<step> with a record, and the stamp of the record."""
    for recipe in _folders(root):
        for version in _folders(recipe):
            for iteration in (path for path in _folders(version) if os.path.basename(path).startswith("iter_")):
                for folder in _folders(iteration):
                    if not folder.endswith(".partial"):
                        with suppress(OSError):
                            yield os.path.relpath(folder, root), stamp_of(os.path.join(folder, RECORD_FILE))


def _folders(path: str) -> list[str]:
    try:
        with os.scandir(path) as entries:
            return [entry.path for entry in entries if not entry.name.startswith(".") and entry.is_dir()]
    except OSError:
        return []


def _read(path: Path) -> Known | None:
    """What a record says; its checksum, where it has one, says that it is as it was written."""
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(raw, dict) or raw.get("schema") != RECORD_SCHEMA:
            return None
        if CHECKSUM not in raw:
            record = read_record(path.parent, is_checked=False)
            if record is None:
                return None
            on = record.execution.get(MEASURED_ON)
            return _known(record.fingerprint, record.recipe, record.step, on, **asdict(record.rate))
        kept = unsealed(raw)
        on = kept["execution"].get(MEASURED_ON)
        return _known(kept["fingerprint"], kept["recipe"], kept["step"], on, **kept["rate"])
    except (OSError, StoreError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None


def _known(fingerprint: Any, recipe: Any, step: Any, on: Any, *, count: Any, elapsed_s: Any, unit: Any) -> Known:
    done, seconds = int(count), float(elapsed_s)
    is_rate = math.isfinite(seconds) and 0 <= done < 1 << 63
    rate = (done, seconds) if is_rate else (0, 0.0)
    return Known(str(fingerprint), str(recipe), str(step), *rate, _canonical(on) if on else "")


def _canonical(measured_on: Mapping[str, Any]) -> str:
    return json.dumps(measured_on, sort_keys=True)


def _has(path: Path, stamp: Stamp) -> bool:
    """Whether the file is still the one of that stamp, after it was read."""
    try:
        return stamp_of(path) == stamp
    except OSError:
        return False


def _remembered(root: Path) -> dict[str, tuple[Stamp, Known]]:
    """The rows of the index that are as they were written: one that is not is read anew."""
    found: dict[str, tuple[Stamp, Known]] = {}

    def ask(index: sqlite3.Connection) -> None:
        for folder, size, mtime, ctime, inode, *rest, crc in index.execute("SELECT * FROM known"):
            stamp, known = Stamp(size, mtime, ctime, inode), Known(*rest)
            if _crc(folder, stamp, known) == crc:
                found[folder] = stamp, known

    looked_up(root, ask)
    return found


def _crc(folder: str, stamp: Stamp, known: Known) -> int:
    return zlib.crc32(repr((folder, *stamp, *known)).encode("utf-8", "backslashreplace"))
