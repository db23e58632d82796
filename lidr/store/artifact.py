"""Reading and writing one artifact: Parquet tables, their dropped rows, and other files.

Files are checked against the record when an artifact is opened, so a truncated or missing shard is named before
anything is computed from it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from lidr.errors import StoreError
from lidr.rows import Dropped, RowType
from lidr.store.fingerprints import file_sha256, folder_sha256
from lidr.store.record import FileEntry, Record, read_record

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

SHARD_ROWS = 250_000
"""Rows in one Parquet file; at 8 kB a row of text about 1 GB before compression."""


@dataclass(frozen=True)
class Artifact:
    """A complete output of one step, ready to be read."""

    folder: Path
    record: Record

    @property
    def tables(self) -> tuple[Path, ...]:
        """Parquet files of `data/`, in order."""
        return tuple(sorted((self.folder / "data").glob("*.parquet")))

    @property
    def rows(self) -> int:
        """Rows of `data/`, by the record."""
        return sum(entry.rows or 0 for entry in self.record.files if entry.path.startswith("data/"))

    @property
    def name(self) -> str:
        """A name that rows can carry: place and first 12 digits of the fingerprint, the same on every machine."""
        return f"{self.record.place}@{self.record.fingerprint[:12]}"

    @property
    def model(self) -> Path:
        """Folder of the model, for a policy."""
        return self.folder / "model"

    def read(self, part: str = "data") -> pa.Table:
        """Read all rows of `data` or `dropped`."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        files = sorted((self.folder / part).glob("*.parquet"))
        return pa.concat_tables([pq.read_table(file) for file in files])

    def batches(self, rows: int, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Yield `data` in order, all columns or some, in batches of at most `rows` rows, holding one at a time."""
        import pyarrow.parquet as pq

        for path in self.tables:
            with pq.ParquetFile(path, pre_buffer=False) as file:
                yield from file.iter_batches(batch_size=rows, columns=columns)


def open_artifact(folder: Path) -> Artifact:
    """Open a complete artifact and check that its files are all there, whole.

    Raises:
        StoreError: no record, or a file that is missing or has another size than the record says.
    """
    record = read_record(folder)
    if record is None:
        raise StoreError(f"{folder}: no complete artifact here (no record.json)")
    for entry in record.files:
        path = folder / entry.path
        size = path.stat().st_size if path.exists() else None
        if size != entry.bytes:
            found = "missing" if size is None else f"{size:,} bytes"
            raise StoreError(
                f"{path}: {found}, its record says {entry.bytes:,} bytes. "
                f"Make the step again with --rebuild {record.place}"
            )
    return Artifact(folder, record)


class TableWriter:
    """Writes rows of one type to numbered Parquet files, batch by batch."""

    def __init__(self, folder: Path, rows: RowType) -> None:
        """Make the folder; an empty table still gets one file, so that its schema is there."""
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._rows = folder, rows
        self._writer: pq.ParquetWriter | None = None
        self._in_shard = 0
        self.paths: list[Path] = []
        self.rows = 0

    def write(self, table: pa.Table) -> None:
        """Append rows; columns and types must be those of the row type."""
        if self._writer is None or self._in_shard + table.num_rows > SHARD_ROWS:
            self._next_shard()
        assert self._writer is not None
        self._writer.write_table(table.select(self._rows.schema.names).cast(self._rows.schema))
        self._in_shard += table.num_rows
        self.rows += table.num_rows

    def _next_shard(self) -> None:
        import pyarrow.parquet as pq

        if self._writer is not None:
            self._writer.close()
        self.paths.append(self._folder / f"{len(self.paths):05d}.parquet")
        self._writer = pq.ParquetWriter(self.paths[-1], self._rows.schema, compression="zstd")
        self._in_shard = 0

    def close(self) -> None:
        """Finish the last file."""
        if not self.paths:
            self._next_shard()
        if self._writer is not None:
            self._writer.close()
            self._writer = None


class Writes(Protocol):
    """Whatever takes one batch after another: a TableWriter, an export."""

    def write(self, table: Any) -> None:
        """Append rows."""


@contextmanager
def written_behind(table: Writes) -> Iterator[Callable[[Any], None]]:
    """Write in a thread, one batch at a time, so that the next batch is made while the last is compressed.

    At most two batches are in memory. An error of a write is raised by the next one, or at the end.
    """
    with ThreadPoolExecutor(max_workers=1) as thread:
        pending: list[Future[None]] = []

        def write(batch: Any) -> None:
            if pending:
                pending.pop().result()
            pending.append(thread.submit(table.write, batch))

        yield write
        if pending:
            pending.pop().result()


class ArtifactWriter:
    """The unfinished folder of one step: its tables, its dropped rows, and whatever else it writes there."""

    def __init__(self, folder: Path, writes: RowType) -> None:
        """Start writing; files of an earlier, interrupted try are replaced, its journal is kept."""
        self.folder = folder
        self._tables: dict[str, TableWriter] = {}
        self._writes = writes

    @property
    def data(self) -> TableWriter:
        """The step's rows."""
        return self._table("data", self._writes)

    @property
    def dropped(self) -> TableWriter:
        """The rows that the step left out, each with its reason."""
        return self._table("dropped", Dropped)

    def start_tables(self) -> None:
        """Make both tables now, so that they are there although no row may come."""
        self._table("data", self._writes)
        self._table("dropped", Dropped)

    def _table(self, name: str, rows: RowType) -> TableWriter:
        if name not in self._tables:
            self._tables[name] = TableWriter(self.folder / name, rows)
        return self._tables[name]

    def finish(self) -> tuple[tuple[FileEntry, ...], str]:
        """Close the tables; return every file of the artifact and the digest of its data or model."""
        rows: dict[Path, int] = {}
        for table in self._tables.values():
            table.close()
            rows |= {path: _rows_in(path) for path in table.paths}
        entries = []
        for path in sorted(p for p in self.folder.rglob("*") if p.is_file()):
            relative = path.relative_to(self.folder).as_posix()
            if not relative.startswith(WORK_FILES):
                entries.append(FileEntry(relative, path.stat().st_size, file_sha256(path), rows.get(path)))
        content = {e.path: e.sha256 for e in entries if e.path.startswith(("data/", "model/"))}
        return tuple(entries), folder_sha256(content)


WORK_FILES = ("work/", "progress.json", "identity.json", "record.json", ".")
"""What stands in an unfinished folder for the step's own use and is no part of its artifact."""


def _rows_in(path: Path) -> int:
    import pyarrow.parquet as pq

    return int(pq.read_metadata(path).num_rows)
