"""CSV and TSV as spreadsheets and data frames write them: a header, then one row a record, quoted by `"` where needed.

    id,en,de
    bees,"What do bees make, and why?","Was machen Bienen, und warum?"

A .csv whose header has semicolons and no comma, as Excel writes it in Europe, is read as separated by them.
Every field is text and stays as it is: a formula (`=1+1`) is four characters, `NA` is two, a number is its digits.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator
from functools import partial
from io import TextIOWrapper
from pathlib import Path
from typing import IO, cast

from lidr.errors import RowError
from lidr.tables.strict_json import decode
from lidr.tables.text_files import LONGEST_LINE, contents, kind_of, opened, too_long

DELIMITERS = {".csv": ",", ".tsv": "\t"}
_NAMES = {",": "comma", "\t": "tab", ";": "semicolon", "|": "bar"}
_SHOWN = 60


def delimited_rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield (number of its first line, column -> text) of every row; lines that are empty are none.

    Raises:
        RowError: no UTF-8, a NUL, no header or one with a name that is empty or stands twice, a row with more or fewer
            fields than the header, a quote that is not closed; says in which line.
    """
    delimiter = _delimiter(path)
    rows = _records(path, delimiter)
    line, header = next(rows, (1, []))
    _check_header(f"{path}:{line}", header, delimiter)
    for line, fields in rows:
        if len(fields) != len(header):
            raise RowError(
                f"{path}:{line}: {len(fields)} fields, and the header has {len(header)} ({', '.join(header)[:_SHOWN]})"
                f'; put a text that holds a {_NAMES[delimiter]}, a line break or a quote into quotes: "..."'
            )
        yield line, dict(zip(header, fields, strict=True))


def columns_place(place: str) -> str:
    """Where the columns of a row are named, `file:line`: in the header of a CSV or TSV file, else in the row itself."""
    path = Path(place.rpartition(":")[0])
    if kind_of(path) not in DELIMITERS:
        return place
    return f"{path}:{next(_records(path, _delimiter(path)))[0]}"


def has_semicolons(path: Path) -> bool:
    """Whether a .csv is read as separated by semicolons.

    Raises:
        RowError: it is no UTF-8.
    """
    return kind_of(path) == ".csv" and _delimiter(path) == ";"


def _delimiter(path: Path) -> str:
    usual = DELIMITERS[kind_of(path)]
    header = next(_lines(path), "").partition("\n")[0]
    return ";" if usual == "," and ";" in header and not {",", "\t"} & set(header) else usual


def _records(path: Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    csv.field_size_limit(max(csv.field_size_limit(), LONGEST_LINE))  # of the whole process; nothing else reads CSV
    reader = csv.reader(_lines(path), delimiter=delimiter, strict=True)
    line = 1
    try:
        for fields in reader:
            if fields:
                yield line, fields
            line = reader.line_num + 1
    except csv.Error as error:
        said = "a quote opens here and is not closed" if "unexpected end" in str(error) else str(error)
        raise RowError(f'{path}:{line}: {said}; inside quotes a quote is written twice: "She said ""no""."') from None


def _lines(path: Path) -> Iterator[str]:
    """Lines with their ends, whichever of the three they have."""
    with opened(path) as file, TextIOWrapper(cast("IO[bytes]", file), "utf-8-sig", newline="") as text:
        try:
            for number, line in enumerate(iter(partial(text.readline, LONGEST_LINE + 1), ""), start=1):
                if len(line) > LONGEST_LINE:
                    raise too_long(path, number)
                if (nul := line.find("\0")) >= 0:
                    raise RowError(
                        f"{path}:{number}:{nul + 1}: a NUL character: no text, or UTF-16; save the file as UTF-8"
                    )
                yield line
        except UnicodeDecodeError:
            decode(contents(path), path)  # says where
            raise


def _check_header(where: str, header: list[str], delimiter: str) -> None:
    if not header:
        raise RowError(f"{where}: no header; the first line names the columns, as id,en,de")
    if len(header) == 1 and (other := next((mark for mark in _NAMES if mark in header[0]), None)):
        raise RowError(
            f"{where}: one column, {header[0][:_SHOWN]!r}: is the file separated by {_NAMES[other]}s? Save it with "
            f"{_NAMES[delimiter]}s, or, with tabs, name it .tsv"
        )
    if blank := [number for number, name in enumerate(header, start=1) if not name.strip()]:
        raise RowError(
            f"{where}: column {blank[0]} has no name in the header; name it, or take it out (pandas writes one unless "
            "told to_csv(index=False))"
        )
    if twice := [name for name, times in Counter(header).items() if times > 1]:
        raise RowError(f"{where}: the header has the column {twice[0]!r} twice; which of them counts? Keep one")
