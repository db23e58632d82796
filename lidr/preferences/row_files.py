"""The files of a set of pairs: their columns, and their rows batch by batch."""

from __future__ import annotations

import json
import re
from codecs import BOM_UTF8
from collections.abc import Iterator, Sequence
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lidr.errors import RowError

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

ROW_FILES = (".parquet", ".jsonl")
_JSON_BYTES = 1 << 23
_WHOLE = re.compile(rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}")
_HALF = re.compile(rb"\\u[dD][89a-fA-F]")


def file_batches(path: Path, rows: int, columns: Sequence[str] | None) -> Iterator[pa.RecordBatch]:
    """Yield a file's rows in order, all columns or some, in batches of at most `rows`.

    Raises:
        RowError: it is no Parquet or no JSON lines, or lacks a column.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if path.suffix != ".parquet":
        yield from _json_batches(path, rows, columns)
        return
    try:
        with pq.ParquetFile(path, pre_buffer=False) as file:
            _need(path, columns, file.schema_arrow.names)
            yield from map(_plain, file.iter_batches(batch_size=rows, columns=columns))
    except (pa.ArrowInvalid, OSError) as error:
        raise RowError(f"{path}: cannot be read as Parquet: {error}") from error


def _plain(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The batch with values in place of numbers into a dictionary of them."""
    import pyarrow as pa

    if not any(pa.types.is_dictionary(kind) for kind in batch.schema.types):
        return batch
    columns = [c.dictionary_decode() if pa.types.is_dictionary(c.type) else c for c in batch.columns]
    return pa.record_batch(columns, names=batch.schema.names)


def _need(path: Path, columns: Sequence[str] | None, there: Sequence[str]) -> None:
    missing = [name for name in columns or () if name not in there]
    if missing:
        raise RowError(f"{path}: no column {missing[0]!r}; its columns: {', '.join(there)}")


def file_schema(path: Path) -> pa.Schema:
    """Names and types of a file's columns.

    Raises:
        RowError: it cannot be read, or is empty.
    """
    import polars as pl
    import pyarrow as pa
    import pyarrow.parquet as pq

    if path.suffix != ".parquet":
        return _json_schema(path).to_frame().to_arrow(compat_level=pl.CompatLevel.oldest()).schema
    try:
        schema = pq.read_schema(path)
        for place, field in enumerate(schema):
            if pa.types.is_dictionary(field.type):
                schema = schema.set(place, field.with_type(field.type.value_type))
        return schema
    except (pa.ArrowInvalid, OSError) as error:
        raise RowError(f"{path}: no rows in it that can be read: {error}") from error


def _json_batches(path: Path, rows: int, columns: Sequence[str] | None) -> Iterator[pa.RecordBatch]:
    """Read JSON lines a few megabytes at a time, with the columns and types that the whole file has."""
    import polars as pl

    schema = _json_schema(path)
    _need(path, columns, list(schema))
    for first, lines in _parts(path):
        try:
            frame = pl.read_ndjson(BytesIO(b"".join(lines)), schema=schema)
        except pl.exceptions.PolarsError as error:
            raise _shapeless(path, first, lines, error) from error
        _check_texts(path, first, lines, frame)
        chosen = frame.select(columns) if columns else frame
        for part in chosen.iter_slices(rows):
            yield from part.to_arrow(compat_level=pl.CompatLevel.oldest()).combine_chunks().to_batches()


def _parts(path: Path) -> Iterator[tuple[int, list[bytes]]]:
    """Yield a few megabytes of lines, each time with the number of the first; those that are blank are empty."""
    first = 1
    with path.open("rb") as file:
        if file.read(len(BOM_UTF8)) != BOM_UTF8:
            file.seek(0)
        while lines := file.readlines(_JSON_BYTES):
            yield first, [line if line.strip() else b"" for line in lines]
            first += len(lines)


def _json_schema(path: Path) -> pl.Schema:
    """Columns and types of all lines: a column may first have a value, or its real type, in the last one."""
    stat = path.stat()
    return _json_schema_of(path, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=64)
def _json_schema_of(path: Path, size: int, changed: int) -> pl.Schema:
    import polars as pl

    found = pl.DataFrame()
    for first, lines in _parts(path):
        if not any(lines):
            continue
        _check_characters(path, first, lines)
        try:
            schema = pl.scan_ndjson(BytesIO(b"".join(lines)), infer_schema_length=None).collect_schema()
            if schema != found.schema:
                found = pl.concat([found, schema.to_frame()], how="diagonal_relaxed")
        except pl.exceptions.PolarsError as error:
            raise _shapeless(path, first, lines, error) from error
    if not found.columns:
        raise RowError(f"{path}: no rows in it that can be read: it is empty")
    return found.schema


def _shapeless(path: Path, first: int, lines: Sequence[bytes], error: Exception) -> RowError:
    said = (str(error).splitlines() or [type(error).__name__])[0]
    if len(lines) == 1:
        return RowError(f"{path}: line {first} is no JSON line of one shape with the others: {said}")
    return RowError(f"{path}: lines {first} to {first + len(lines) - 1} are no JSON lines of one shape: {said}")


def _check_texts(path: Path, first: int, lines: Sequence[bytes], frame: pl.DataFrame) -> None:
    """Refuse a list among texts: polars would give it as text, and a row would be read as something that it is not."""
    import polars as pl

    numbers = [number for number, line in enumerate(lines) if line]
    for column, kind in frame.schema.items():
        for field, is_odd in _odd_texts(column, kind):
            for row in frame.select(pl.arg_where(is_odd)).to_series():
                found = json.loads(lines[numbers[row]]).get(column)
                if any(not isinstance(value, str | None) for value in _values(found, field)):
                    where = f"{path}:{first + numbers[row]}"
                    name = f"{column}.{field}" if field else column
                    raise RowError(f"{where}: {name} is a list or an object here and a text elsewhere; write all alike")


def _odd_texts(column: str, kind: pl.DataType) -> Iterator[tuple[str | None, pl.Expr]]:
    """The texts of a column, and of the messages in it, each with whether it looks like a list or an object."""
    import polars as pl

    def looks_odd(text: pl.Expr) -> pl.Expr:
        return text.str.starts_with("[") | text.str.starts_with("{")

    if kind == pl.String:
        yield None, looks_odd(pl.col(column))
    inner = kind.inner if isinstance(kind, pl.List) else kind
    for field in inner.fields if isinstance(inner, pl.Struct) else ():
        if field.dtype == pl.String and isinstance(kind, pl.List):
            yield field.name, pl.col(column).list.eval(looks_odd(pl.element().struct.field(field.name))).list.any()
        elif field.dtype == pl.String:
            yield field.name, looks_odd(pl.col(column).struct.field(field.name))


def _values(found: Any, field: str | None) -> list[Any]:
    """What stands there: a column itself, or a field of each of its messages."""
    if field is None:
        return [found]
    return [item.get(field) for item in (found if isinstance(found, list) else [found]) if isinstance(item, dict)]


def _check_characters(path: Path, first: int, lines: Sequence[bytes]) -> None:
    """Refuse half of a surrogate pair: polars would give a NUL in its place."""
    for number, line in enumerate(lines):
        if b"\\u" in line and _HALF.search(_WHOLE.sub(b"", line)):
            try:
                json.dumps(json.loads(line), ensure_ascii=False).encode()
            except UnicodeEncodeError as error:
                half = str(error.object)[error.start].encode("unicode_escape").decode()
                raise RowError(
                    f"{path}:{first + number}: {half} is half of a character: a surrogate without the other one. "
                    "Write the character, or take it out"
                ) from None
            except (ValueError, RecursionError):
                return  # no JSON, as will be said of it
