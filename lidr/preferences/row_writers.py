"""The file of rows of an export, JSON lines or Parquet by its name: batches go through in a shape, and none is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from lidr.store import written_behind

if TYPE_CHECKING:
    import pyarrow as pa

Shape = Callable[["pa.RecordBatch"], "pa.RecordBatch"]


def write_rows(path: Path, shape: Shape, batches: Iterator[pa.RecordBatch]) -> int:
    """Write batches in their shape, one at a time, in a thread while the next is read; the number of rows."""
    rows = 0
    with path.open("wb") as file:
        writer = _ParquetRows(file) if path.suffix == ".parquet" else _JsonRows(file)
        with written_behind(writer) as write:
            for batch in batches:
                if batch.num_rows:
                    write(shape(batch))
                    rows += batch.num_rows
        writer.close()
    return rows


class _JsonRows:
    """One file of JSON lines."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def write(self, table: pa.RecordBatch) -> None:
        import polars as pl

        pl.DataFrame(table).write_ndjson(self._file)

    def close(self) -> None:
        pass


class _ParquetRows:
    """One Parquet file whose schema is that of its first batch."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._writer: Any = None

    def write(self, table: pa.RecordBatch) -> None:
        import pyarrow.parquet as pq

        if self._writer is None:
            self._writer = pq.ParquetWriter(self._file, table.schema, compression="zstd")
        self._writer.write_batch(table)

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
