"""The files of a set of pairs: which belong to a configuration and a split, and their rows, batch by batch."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from lidr.errors import HubError, RowError

if TYPE_CHECKING:
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
    entries = {str(entry["config_name"]): entry for entry in card.get("configs", ()) if "data_files" in entry}
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
        RowError: it cannot be read.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        if path.suffix == ".parquet":
            return list(pq.read_schema(path).names)
        return list(next(_json_batches(path, 1, None)).schema.names)
    except (pa.ArrowInvalid, StopIteration) as error:
        raise RowError(f"{path}: no rows in it that can be read: {error or 'it is empty'}") from error


def _json_batches(path: Path, rows: int, columns: Sequence[str] | None) -> Iterator[pa.RecordBatch]:
    """Read JSON lines a few megabytes at a time; every part has the columns and types of the first."""
    import polars as pl

    schema: Any = None
    with path.open("rb") as file:
        while lines := file.readlines(_JSON_BYTES):
            try:
                frame = pl.read_ndjson(BytesIO(b"".join(lines)), schema=schema, infer_schema_length=None)
            except pl.exceptions.PolarsError as error:
                raise RowError(f"{path}: no JSON lines of one shape: {error}") from error
            schema = schema or frame.schema
            _need(path, columns, frame.columns)
            chosen = frame.select(columns) if columns else frame
            for part in chosen.iter_slices(rows):
                yield from part.to_arrow(compat_level=pl.CompatLevel.oldest()).combine_chunks().to_batches()
