"""The files of a set: their columns, and their rows batch by batch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lidr.errors import RowError
from lidr.tables.arrow_types import plain_batch, plain_type
from lidr.tables.delimited import DELIMITERS, delimited_rows
from lidr.tables.strict_json import json_array, json_lines
from lidr.tables.text_files import contents, kind_of, line_blocks

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

_Kinds = dict[str, dict[str, int]]
"""Column, or column.field of its messages -> what stands in it (text, number, truth value, list) -> its first line."""


def file_batches(path: Path, rows: int, columns: Sequence[str] | None) -> Iterator[pa.RecordBatch]:
    """Yield a file's rows in order, all columns or some, in batches of at most `rows`.

    Raises:
        RowError: it cannot be read as what its name says, or lacks a column.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if kind_of(path) in _WHOLE:
        yield from _whole_batches(path, rows, columns)
        return
    if kind_of(path) != ".parquet":
        yield from _json_batches(path, rows, columns)
        return
    try:
        with pq.ParquetFile(path, pre_buffer=False) as file:
            _need(path, columns, file.schema_arrow.names)
            first = 0
            for batch in file.iter_batches(batch_size=rows, columns=columns):
                yield plain_batch(batch, str(path), first)
                first += batch.num_rows
    except (pa.ArrowException, OSError) as error:
        raise RowError(f"{path}: cannot be read as Parquet: {error}. Write the file again") from error


def row_count(path: Path) -> int:
    """How many rows a file has.

    Raises:
        RowError: it cannot be read as what its name says.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if kind_of(path) in _WHOLE:
        return _whole(path).height
    if kind_of(path) != ".parquet":
        return sum(bool(line) for _, lines in _parts(path) for line in lines)
    try:
        return int(pq.read_metadata(path).num_rows)
    except (pa.ArrowException, OSError) as error:
        raise RowError(f"{path}: cannot be read as Parquet: {error}. Write the file again") from error


def _need(path: Path, columns: Sequence[str] | None, there: Sequence[str]) -> None:
    missing = [name for name in columns or () if name not in there]
    if missing:
        raise RowError(f"{path}: no column {missing[0]!r}; its columns: {', '.join(there)}")


def file_schema(path: Path) -> pa.Schema:
    """Names and types of a file's columns.

    Raises:
        RowError: it cannot be read, is empty, or has two columns of one name.
    """
    import polars as pl
    import pyarrow as pa
    import pyarrow.parquet as pq

    if kind_of(path) in _WHOLE:
        return _whole(path).to_arrow(compat_level=pl.CompatLevel.oldest()).schema
    if kind_of(path) != ".parquet":
        return _json_facts(path)[0].to_frame().to_arrow(compat_level=pl.CompatLevel.oldest()).schema
    try:
        schema = pq.read_schema(path)
        if twice := [name for name, count in Counter(schema.names).items() if count > 1]:
            raise RowError(
                f"{path}: more than one column is called {twice[0]}; keep one, or give each a name of its own"
            )
        return pa.schema([field.with_type(plain_type(field.type)) for field in schema], schema.metadata)
    except (pa.ArrowException, OSError) as error:
        raise RowError(f"{path}: no rows in it that can be read: {error}") from error


def values_among_texts(path: Path, columns: Sequence[str]) -> None:
    """Refuse numbers and truth values among the texts of these columns: read as text, 1e3 would be another text.

    Parquet has one type a column, so nothing is among others there.

    Raises:
        RowError: says in which line.
    """
    if kind_of(path) in (".parquet", *DELIMITERS):
        return
    kinds = _kinds_of_array(path) if kind_of(path) == ".json" else _json_facts(path)[1]
    for name, found in kinds.items():
        others = [(found[kind], kind) for kind in ("number", "truth value") if kind in found]
        if name.partition(".")[0] in columns and "text" in found and others:
            line, kind = min(others)
            raise RowError(f'{path}:{line}: {name} is a {kind} here and a text elsewhere; write it as text, "..."')


_WHOLE = (".json", *DELIMITERS)


def _whole_batches(path: Path, rows: int, columns: Sequence[str] | None) -> Iterator[pa.RecordBatch]:
    """Rows of a file that is read whole: a JSON array, CSV, TSV."""
    import polars as pl

    frame = _whole(path)
    _need(path, columns, frame.columns)
    if kind_of(path) == ".json":
        kinds = _kinds_of_array(path)
        _check_lists(path, kinds, columns or frame.columns)
        _check_truths(path, {name: found for name, found in kinds.items() if name in (columns or ())})
    for part in (frame.select(columns) if columns else frame).iter_slices(rows):
        yield from part.to_arrow(compat_level=pl.CompatLevel.oldest()).combine_chunks().to_batches()


def _whole(path: Path) -> pl.DataFrame:
    stat = path.stat()
    return _whole_of(path, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=1)
def _whole_of(path: Path, size: int, changed: int) -> pl.DataFrame:
    """The file as columns; of CSV and TSV, all texts."""
    import polars as pl

    found = json_array(path, contents(path)) if kind_of(path) == ".json" else delimited_rows(path)
    rows = [row for _, row in found]
    if not rows:
        raise RowError(f"{path}: no rows in it that can be read: it is empty")
    try:
        return pl.from_dicts(rows, infer_schema_length=None)
    except (pl.exceptions.PolarsError, TypeError) as error:
        raise _shapeless(path, 1, [], error) from error


def _kinds_of_array(path: Path) -> _Kinds:
    kinds: _Kinds = {}
    for number, row in json_array(path, contents(path)):
        _note(kinds, row, number)
    return kinds


def _json_batches(path: Path, rows: int, columns: Sequence[str] | None) -> Iterator[pa.RecordBatch]:
    """Read JSON lines a few megabytes at a time, with the columns and types that the whole file has."""
    import polars as pl

    schema, kinds = _json_facts(path)
    _need(path, columns, list(schema))
    _check_lists(path, kinds, columns or list(schema))
    for first, lines in _parts(path):
        try:
            frame = pl.read_ndjson(BytesIO(b"".join(lines)), schema=schema)
        except pl.exceptions.PolarsError as error:
            _check_truths(path, kinds)
            raise _shapeless(path, first, lines, error) from error
        chosen = frame.select(columns) if columns else frame
        for part in chosen.iter_slices(rows):
            yield from part.to_arrow(compat_level=pl.CompatLevel.oldest()).combine_chunks().to_batches()


def _parts(path: Path) -> Iterator[tuple[int, list[bytes]]]:
    """Blocks of lines; those that are blank are empty."""
    return ((first, [line if line.strip() else b"" for line in lines]) for first, lines in line_blocks(path))


def _json_facts(path: Path) -> tuple[pl.Schema, _Kinds]:
    """Columns and types of all lines: a column may first have a value, or its real type, in the last one."""
    stat = path.stat()
    return _json_facts_of(path, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=64)
def _json_facts_of(path: Path, size: int, changed: int) -> tuple[pl.Schema, _Kinds]:
    import polars as pl

    found, kinds = pl.DataFrame(), dict[str, dict[str, int]]()
    for first, lines in _parts(path):
        if not any(lines):
            continue
        for number, row in json_lines(path, b"".join(line or b"\n" for line in lines), first):
            _note(kinds, row, number)
        try:
            schema = pl.scan_ndjson(BytesIO(b"".join(lines)), infer_schema_length=None).collect_schema()
            if schema != found.schema:
                found = pl.concat([found, schema.to_frame()], how="diagonal_relaxed")
        except pl.exceptions.PolarsError as error:
            _check_truths(path, kinds)
            raise _shapeless(path, first, lines, error) from error
    if not found.columns:
        raise RowError(f"{path}: no rows in it that can be read: it is empty")
    return found.schema, kinds


def _note(kinds: _Kinds, row: Mapping[str, Any], number: int) -> None:
    """What stands in each column of a row, and in each field of its messages."""
    for name, value in row.items():
        kinds.setdefault(name, {}).setdefault(_kind(value), number)
        for item in value if isinstance(value, list) else [value]:
            for field, held in item.items() if isinstance(item, dict) else ():
                kinds.setdefault(f"{name}.{field}", {}).setdefault(_kind(held), number)


def _kind(value: Any) -> str:
    if isinstance(value, str):
        return "text"
    if value is None:
        return "nothing"
    return "truth value" if isinstance(value, bool) else "number" if isinstance(value, int | float) else "list"


def _shapeless(path: Path, first: int, lines: Sequence[bytes], error: Exception) -> RowError:
    said = (str(error).splitlines() or [type(error).__name__])[0]
    if not lines:
        return RowError(f"{path}: its rows are not of one shape: {said}")
    if len(lines) == 1:
        return RowError(f"{path}: line {first} is no JSON line of one shape with the others: {said}")
    return RowError(f"{path}: lines {first} to {first + len(lines) - 1} are no JSON lines of one shape: {said}")


def _check_lists(path: Path, kinds: _Kinds, columns: Sequence[str]) -> None:
    """Refuse a list among texts: polars would give it as text, and a row would be read as something that it is not."""
    for name, found in kinds.items():
        if "text" in found and "list" in found and name.partition(".")[0] in columns:
            where = f"{path}:{found['list']}"
            raise RowError(f"{where}: {name} is a list or an object here and a text elsewhere; write all alike")


def _check_truths(path: Path, kinds: _Kinds) -> None:
    """Refuse truth values among numbers: polars cannot read such lines, and of an array would make true 1."""
    for name, found in kinds.items():
        if "truth value" in found and "number" in found and "text" not in found:
            where = f"{path}:{found['truth value']}"
            raise RowError(
                f"{where}: {name} is a truth value here and a number elsewhere; write all as numbers, or all as truth "
                "values"
            )
