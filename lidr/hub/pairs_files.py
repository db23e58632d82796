"""The files of a set of pairs: which belong to a configuration and a split, and their rows, batch by batch."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from lidr.errors import HubError, RowError
from lidr.hub.shapes import CardConfigs, fault

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

ROW_FILES = (".parquet", ".jsonl")
_SHARD = re.compile(r"-\d{5}-of-\d{5}$")
_JSON_BYTES = 1 << 23


def config_of(
    where: str, card: dict[str, Any], names: Sequence[str], config: str | None
) -> tuple[str | None, list[tuple[str, str]]]:
    """The configuration, and its files by split: as the card says, else by their names.

    Raises:
        HubError: no such configuration, or no rows.
    """
    rows = [name for name in sorted(names) if name.endswith(ROW_FILES) and not name.startswith((".", "lidr/"))]
    entries = _configs(where, card)
    if config is not None and config not in entries:
        raise HubError(f"{where}: no configuration {config!r}; it has {', '.join(entries) or 'none: leave it out'}")
    if entries:
        default = next((name for name, entry in entries.items() if entry.get("default")), None)
        chosen = config or default or ("default" if "default" in entries else next(iter(entries)))
        splits = list(_splits_of(entries[chosen]["data_files"], rows))
    else:
        chosen = None
        splits = [(_split_name(name), name) for name in rows]
    if not splits:
        raise HubError(f"{where}: no Parquet or JSON-lines files of pairs in it")
    return chosen, splits


def _configs(where: str, card: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """A card's configurations that name their files, by their names."""
    configs = card.get("configs") or []
    if wrong := fault(CardConfigs, {"configs": configs}):
        raise HubError(
            f"{where}: README.md: {wrong}. A configuration has a config_name and data_files: a pattern, a list of "
            "them, or a list of split and path"
        )
    return {str(entry["config_name"]): entry for entry in configs if entry.get("data_files") is not None}


def _splits_of(data_files: Any, rows: Sequence[str]) -> Iterator[tuple[str, str]]:
    """(split, file) of a card's data_files: a pattern, a list of them, or {split, path} of each."""
    entries = data_files if isinstance(data_files, list) else [data_files]
    for entry in entries:
        split, patterns = (entry["split"], entry["path"]) if isinstance(entry, dict) else ("train", entry)
        for pattern in [patterns] if isinstance(patterns, str) else patterns:
            wanted = pattern.removeprefix("./")
            yield from ((str(split), name) for name in rows if re.fullmatch(_as_regex(wanted), name))


def _as_regex(pattern: str) -> str:
    """A card's pattern: `*` and `?` stay within a folder, `**` goes into any."""
    meant = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    parts = re.findall(r"\*\*/|\*\*|\[[^\]]+\]|.", pattern)
    return "".join(meant.get(part) or (part if len(part) > 1 else re.escape(part)) for part in parts)


def _split_name(path: str) -> str:
    """`train` of data/train-00000-of-00001.parquet; of any other file its own name."""
    stem = PurePosixPath(path).stem
    return _SHARD.sub("", stem) if _SHARD.search(stem) else "train"


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
            yield from file.iter_batches(batch_size=rows, columns=columns)
    except (pa.ArrowInvalid, OSError) as error:
        raise RowError(f"{path}: cannot be read as Parquet: {error}") from error


def _need(path: Path, columns: Sequence[str] | None, there: Sequence[str]) -> None:
    missing = [name for name in columns or () if name not in there]
    if missing:
        raise RowError(f"{path}: no column {missing[0]!r}; its columns: {', '.join(there)}")


def schema_names(path: Path) -> list[str]:
    """Names of a file's columns.

    Raises:
        RowError: it cannot be read, or is empty.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if path.suffix != ".parquet":
        return list(_json_schema(path))
    try:
        return list(pq.read_schema(path).names)
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
        if kind != pl.String:
            continue
        for row in frame.select(pl.arg_where(pl.col(column).str.contains(r"^[\[{]"))).to_series():
            if not isinstance(json.loads(lines[numbers[row]])[column], str):
                where = f"{path}:{first + numbers[row]}"
                raise RowError(f"{where}: {column} is a list or an object here and a text elsewhere; write all alike")
