"""Rows of a file, each with the place that a message names: `prompts.csv:17`, or `prompts.parquet row 16`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from lidr.errors import RowError
from lidr.tables.arrow_types import decoded
from lidr.tables.delimited import DELIMITERS, delimited_rows
from lidr.tables.row_files import file_batches
from lidr.tables.strict_json import json_array, json_lines_of
from lidr.tables.text_files import TABLE_FILES, contents, kind_of

_ROWS = 10_000  # of one batch

PlacedRow = tuple[str, dict[str, Any]]


def placed_rows(path: Path, texts: Sequence[str] = ()) -> Iterator[PlacedRow]:
    """Yield (place, row) of every row of a file, in order.

    Args:
        path: .csv, .tsv, .jsonl, .json or .parquet; all but the last may be packed, .csv.gz.
        texts: columns of a Parquet file that hold texts, also where they are stored as bytes.

    Raises:
        RowError: another kind of file, or one that cannot be read; says at which line, byte and column.
    """
    reader = _READERS.get(kind_of(path))
    if reader is None or not path.name.lower().endswith(TABLE_FILES):
        raise RowError(
            f"{path}: a table ends with {', '.join(TABLE_FILES[:-1])} or {TABLE_FILES[-1]}; save it as one of these "
            "(from a spreadsheet: CSV, UTF-8)"
        )
    return reader(path, texts)


def _of_text(
    rows: Callable[[Path], Iterator[tuple[int, dict[str, Any]]]],
) -> Callable[[Path, Sequence[str]], Iterator[PlacedRow]]:
    return lambda path, texts: ((f"{path}:{line}", row) for line, row in rows(path))


def _of_parquet(path: Path, texts: Sequence[str]) -> Iterator[PlacedRow]:
    first = 0
    for batch in file_batches(path, _ROWS, None):
        read = [
            decoded(column, f"{path}: column {name}", first) if name in texts else column
            for name, column in zip(batch.schema.names, batch.columns, strict=True)
        ]
        columns = dict(zip(batch.schema.names, (column.to_pylist() for column in read), strict=True))
        for number in range(batch.num_rows):
            yield f"{path} row {first + number + 1}", {name: values[number] for name, values in columns.items()}
        first += batch.num_rows


_READERS: dict[str, Callable[[Path, Sequence[str]], Iterator[PlacedRow]]] = {
    ".jsonl": _of_text(json_lines_of),
    ".json": _of_text(lambda path: json_array(path, contents(path))),
    **dict.fromkeys(DELIMITERS, _of_text(delimited_rows)),
    ".parquet": _of_parquet,
}
