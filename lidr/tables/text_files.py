"""Files as they lie on disk: what kind one is, and its bytes, unpacked where they are packed with gzip."""

from __future__ import annotations

import gzip
import zlib
from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import BufferedIOBase
from pathlib import Path

from lidr.errors import RowError

TABLE_FILES = (".jsonl", ".json", ".csv", ".tsv", ".parquet", ".jsonl.gz", ".json.gz", ".csv.gz", ".tsv.gz")
"""How the name of a file of rows may end; the longer endings are packed with gzip."""
_BY_CERTAINTY = ((".parquet", ".jsonl", ".jsonl.gz"), (".csv", ".tsv", ".csv.gz", ".tsv.gz"), (".json", ".json.gz"))
"""The surest first: beside files of rows, a .csv file may be statistics and a .json file settings."""
GZIP = ".gz"
LONGEST_LINE = 1 << 26
"""Bytes; of a CSV file, characters."""
_BLOCK = 1 << 23  # bytes
_LARGEST = 4 << 30  # bytes of a file that is read whole


def table_files(names: Iterable[str]) -> list[str]:
    """The files of a folder that are its rows, in order: Parquet and JSON lines, else CSV and TSV, else JSON.

    >>> table_files(["config.json", "de.csv", "README.md"]), table_files(["config.json", "de.jsonl"])
    (['de.csv'], ['de.jsonl'])
    """
    there = sorted(names)
    found = ([name for name in there if name.lower().endswith(endings)] for endings in _BY_CERTAINTY)
    return next(filter(None, found), [])


def kind_of(path: Path) -> str:
    """Its suffix without .gz: `.csv` of `prompts.csv.gz`."""
    return (path.with_suffix("") if path.suffix == GZIP else path).suffix.lower()


@contextmanager
def opened(path: Path) -> Iterator[BufferedIOBase]:
    """The file for reading, unpacked where it ends with .gz.

    Raises:
        RowError: it ends with .gz and cannot be unpacked.
    """
    try:
        with gzip.open(path) if path.suffix == GZIP else path.open("rb") as file:
            yield file
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise RowError(f"{path}: cannot be unpacked as gzip ({error}); pack it again, or give it unpacked") from None


def contents(path: Path) -> bytes:
    """All bytes of a file, unpacked.

    Raises:
        RowError: as `opened`; or unpacked it is larger than 4 GiB.
    """
    with opened(path) as file:
        data = file.read(_LARGEST + 1)
    if len(data) > _LARGEST:
        raise RowError(f"{path}: more than {_LARGEST >> 30} GiB of text; split it, or write it as Parquet")
    return data


def line_blocks(path: Path) -> Iterator[tuple[int, list[bytes]]]:
    """Yield a few megabytes of lines, each time with the number of the first, without a byte order mark.

    Raises:
        RowError: as `opened`; or a line is longer than 64 MiB, as a small packed file may hold.
    """
    first, left = 1, b""
    with opened(path) as file:
        if file.read(len(BOM_UTF8)) != BOM_UTF8:
            file.seek(0)
        while data := file.read(_BLOCK):
            *lines, left = (left + data).split(b"\n")
            if lines:
                yield first, [line + b"\n" for line in lines]
            first += len(lines)
            if len(left) > LONGEST_LINE:
                raise too_long(path, first)
    if left:
        yield first, [left]


def too_long(path: Path, line: int) -> RowError:
    """What is said of a line that is longer than LONGEST_LINE."""
    most = f"{LONGEST_LINE >> 20} MiB"
    return RowError(
        f"{path}:{line}: a line of more than {most}; at most that: write a line for each row, and name an array .json"
    )
