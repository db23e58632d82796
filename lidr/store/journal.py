"""Resume by row: one line for each finished row, appended as it is finished.

{"key": "p1/es", "text": "...", "checksum": "<16 hex digits of the SHA-256 of the line without it>"}

After a kill the last line may be torn, after a power cut the file may end in NULs: both are cut off when the journal is
opened again, and that row is made again. Any other line that is not as it was written stops the run. Lines without a
checksum, of an earlier lidr, are read where they come first.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from array import array
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from lidr.errors import StoreError

_SEALED = re.compile(rb', "checksum": "([0-9a-f]{16})"\}$')
_LOOKS_LIKE_ONE = re.compile(rb'"[0-9a-f]{16}"\}$')  # a damaged name of the field, in the first line


class Journal:
    """The finished rows of an unfinished step, by key."""

    def __init__(self, path: Path, *, keeps: Callable[[str, Mapping[str, Any]], bool] = lambda key, row: True) -> None:
        """Open or make the journal, and look through what it holds.

        Args:
            path: the file; it is made.
            keeps: asked of each row that is there, by key; one that it refuses is not in `rows`.

        Raises:
            StoreError: a line is damaged.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        places = _Places()
        end = 0
        if path.exists():
            whole, is_sealed = _whole_bytes(path), False
            for number, line in enumerate(_lines(path, whole), 1):
                try:
                    row, is_sealed = _row_of(line, must_be_sealed=is_sealed)
                    key = row.pop("key")
                    places.put(key, end if keeps(key, row) else None)
                except (ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
                    raise _damaged(path, f":{number}", error) from None
                end += len(line) + 1
            os.truncate(path, whole)
        self._file = path.open("ab")
        self.rows = JournalRows(path, places)
        self._end = end

    def add(self, key: str, row: Mapping[str, Any]) -> None:
        """Append one finished row; when this returns, a killed process no longer loses it."""
        text = json.dumps({"key": key, **row}, ensure_ascii=False).encode()
        line = text[:-1] + b', "checksum": "' + _checksum(text) + b'"}\n'
        self._file.write(line)
        self._file.flush()
        self.rows.put(key, self._end)
        self._end += len(line)

    def close(self) -> None:
        """Flush to disk and close."""
        if not self._file.closed:
            os.fsync(self._file.fileno())
            self._file.close()
        self.rows.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class JournalRows(Mapping[str, dict[str, Any]]):
    """The rows of a journal, by key. Only their places are held: a row is read from the file when it is asked for, and
    compared with its checksum again.
    """

    def __init__(self, path: Path, places: _Places) -> None:
        """Of a journal whose lines were looked through."""
        self._path, self._places = path, places
        self._opened: IO[bytes] | None = None

    def put(self, key: str, place: int) -> None:
        """A row was appended."""
        self._places.put(key, place)

    def close(self) -> None:
        """Close the file, until a row is asked for again."""
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    def __getitem__(self, key: str) -> dict[str, Any]:
        place = self._places.get(key)
        if place is None:
            raise KeyError(key)
        return self._row_at(place, key)

    def _row_at(self, place: int, key: str | None = None) -> dict[str, Any]:
        """The row whose line begins there: without its key, which must be `key`; or with it, where none is given."""
        if self._opened is None:
            self._opened = self._path.open("rb")
        self._opened.seek(place)
        try:
            row, _ = _row_of(self._opened.readline().removesuffix(b"\n"), must_be_sealed=False)
            if key is not None and row.pop("key") != key:
                raise _WrongChecksum
        except (ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
            raise _damaged(self._path, f", byte {place:,}", error) from None
        return row

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and self._places.get(key) is not None

    def __iter__(self) -> Iterator[str]:
        return (self._row_at(place)["key"] for place in self._places.all())

    def __len__(self) -> int:
        return sum(1 for _ in self._places.all())


class _Places:
    """Key -> where its line begins, bytes: 24 to 42 bytes of memory for each, where a dict takes 139.

    A key is held as its hash, 64 bits, and who reads a line compares its key. That any two of a million keys share one
    has a probability of 3 in 100 million; then the place of the first is lost, and its row is reported as damaged; to
    another process, which has other hashes, it is whole.

    One thread may put while others get.
    """

    def __init__(self) -> None:
        self._hashes, self._places = array("q"), array("q")  # in the order in which they came; a place of -1: none
        self._table = array("I", bytes(4 * 8))  # open addressing: the number of an entry, from 1; 0: free

    def put(self, key: str, place: int | None) -> None:
        """Keep a place; None takes it out."""
        code = hash(key)
        at = self._find(code, self._table)
        if number := self._table[at]:
            self._places[number - 1] = -1 if place is None else place
        elif place is not None:
            self._places.append(place)
            self._hashes.append(code)
            self._table[at] = len(self._hashes)
            if 3 * len(self._hashes) > 2 * len(self._table):
                self._widen()

    def get(self, key: str) -> int | None:
        """The place of a key."""
        table = self._table
        number = table[self._find(hash(key), table)]
        place = self._places[number - 1] if number else -1
        return None if place < 0 else place

    def all(self) -> Iterator[int]:
        """All places, in the order in which their keys came."""
        return (place for place in self._places if place >= 0)

    def _find(self, code: int, table: array[int]) -> int:
        """Where in the table an entry stands, or may be put."""
        at = code % len(table)
        while (number := table[at]) and self._hashes[number - 1] != code:
            at = (at + 1) % len(table)
        return at

    def _widen(self) -> None:
        table = array("I", bytes(2 * 4 * len(self._table)))
        for number, code in enumerate(self._hashes, 1):
            table[self._find(code, table)] = number
        self._table = table


class _WrongChecksum(ValueError):
    """The line is not the one that was written."""


def _whole_bytes(path: Path) -> int:
    """Up to where the journal is whole: without NULs at its end, and without what follows the last newline."""
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        while end:
            start = max(0, end - (1 << 20))
            file.seek(start)
            block = file.read(end - start).rstrip(b"\0")  # each block once: text has no NUL at the end of a line
            if (last := block.rfind(b"\n")) >= 0:
                return start + last + 1
            end = start
    return 0


def _lines(path: Path, whole: int) -> Iterator[bytes]:
    """The whole lines, one at a time. Only a newline ends one: a byte that became a carriage return is damage."""
    with path.open("rb") as file:
        read = 0
        for line in file:
            read += len(line)
            if read > whole:
                return
            yield line[:-1]


def _row_of(line: bytes, *, must_be_sealed: bool) -> tuple[dict[str, Any], bool]:
    """The row of a line, and whether it has a checksum.

    Raises:
        ValueError, AttributeError, TypeError: it is damaged.
    """
    seal = _SEALED.search(line[-40:])
    if seal is not None:
        text = line[: -len(seal[0])] + b"}"
        if seal[1] != _checksum(text):
            raise _WrongChecksum
        return json.loads(text), True
    row: dict[str, Any] = json.loads(line)
    if must_be_sealed or "checksum" in row or _LOOKS_LIKE_ONE.search(line[-40:]):
        raise _WrongChecksum
    return row, False


def _checksum(text: bytes) -> bytes:
    return hashlib.sha256(text).hexdigest()[:16].encode()


def _damaged(path: Path, where: str, error: Exception) -> StoreError:
    step = next((folder for folder in path.parents if folder.suffix == ".partial"), None)
    again = "remove the file" if step is None else f"make the step again with --rebuild {step.parent.name}/{step.stem}"
    return StoreError(
        f"{path}{where}: damaged line. Take it out by hand to keep the others, or {again} (found: {_found(error)})"
    )


def _found(error: Exception) -> str:
    if isinstance(error, _WrongChecksum):
        return "its checksum is of another line, or damaged"
    return "no JSON object with a key"
