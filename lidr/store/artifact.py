"""Reading and writing one artifact: Parquet tables, their dropped rows, and other files.

Files are compared with the record by size when an artifact is opened and by content before it is used, so a shard that
is missing, cut, altered or exchanged is named before anything is computed from it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from lidr.errors import StoreError
from lidr.rows import Dropped, RowType
from lidr.store.digests import hashed
from lidr.store.record import FileEntry, Record, content_digest, read_record

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

SHARD_ROWS = 250_000
"""Rows in one Parquet file; at 8 kB a row of text about 1 GB before compression."""

ROWS_AT_ONCE = 10_000
"""Rows that a step holds at a time as Python's values; at 4 kB each 40 MB."""

_READ_AHEAD = 1 << 20  # bytes of a column; else the whole of it is read, up to the end of its row group


@dataclass(frozen=True)
class Artifact:
    """A complete output of one step, ready to be read.

    Whatever gives out a file, or rows, first reads the file whole and compares it with the record; so content that was
    damaged is never used. Files that the record does not name are never given out.
    """

    folder: Path
    record: Record

    def named(self, *parts: str) -> tuple[FileEntry, ...]:
        """What the record names, all or below some folders of the artifact, by path."""
        below = tuple(f"{part}/" for part in parts)
        return tuple(
            sorted((e for e in self.record.files if not parts or e.path.startswith(below)), key=lambda e: e.path)
        )

    def verified(self, *parts: str) -> tuple[Path, ...]:
        """The files that the record names, all or below some folders, each hashed by this process.

        Raises:
            StoreError: one is missing, or is not as the record says.
        """
        return tuple(self._verified(entry) for entry in self.named(*parts))

    def file(self, path: str) -> Path:
        """One file, by its path in the artifact, hashed by this process.

        Raises:
            StoreError: the record does not name it, or it is missing or not as the record says.
        """
        for entry in self.record.files:
            if entry.path == path:
                return self._verified(entry)
        raise StoreError(f"{self.folder}: its record names no file {path}")

    def _verified(self, entry: FileEntry) -> Path:
        path = self.folder / entry.path
        check_size(path, entry, self.record.place)
        if (found := hashed(path)) != entry.sha256:
            raise damaged(path, entry, found, self.record.place)
        return path

    def tables_of(self, part: str) -> tuple[Path, ...]:
        """Parquet files of `data` or `dropped`, in order, verified."""
        return tuple(self._verified(entry) for entry in self.named(part) if entry.path.endswith(".parquet"))

    @property
    def tables(self) -> tuple[Path, ...]:
        """Parquet files of `data/`, in order, verified."""
        return self.tables_of("data")

    @property
    def has_tables(self) -> bool:
        """Whether it has rows, by the record."""
        return any(entry.path.endswith(".parquet") for entry in self.named("data"))

    @property
    def rows(self) -> int:
        """Rows of `data/`, by the record."""
        return sum(entry.rows or 0 for entry in self.named("data"))

    @property
    def name(self) -> str:
        """A name that rows can carry: place and first 12 digits of the fingerprint, the same on every machine."""
        return f"{self.record.place}@{self.record.fingerprint[:12]}"

    @property
    def model(self) -> Path:
        """Folder of the model, for a policy, verified.

        Raises:
            StoreError: see `model_folder`; or a file is missing or not as the record says.
        """
        self.verified("model")
        return self.model_folder

    @property
    def model_folder(self) -> Path:
        """Folder of the model, for a policy, before anything of it is read.

        Raises:
            StoreError: it is an adapter over a model, which are no one folder.
        """
        if self.named("base") and not self.named("model"):
            raise StoreError(
                f"{self.record.place}: this policy is an adapter over a model (policy.merge: false), and no one folder "
                "of weights: name the two themselves (policy: {model, adapter}), or merge them: `lidr merge`"
            )
        return self.folder / "model"

    def part(self, name: str) -> Path:
        """A folder of the artifact whose files are verified: `model`, `adapter`, `results`."""
        self.verified(name)
        return self.folder / name

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns of `data/`, without reading its rows; none where it has no tables."""
        import pyarrow.parquet as pq

        tables = self.tables[:1]
        return tuple(pq.read_schema(tables[0]).names) if tables else ()

    def read(self, part: str = "data") -> pa.Table:
        """Read all rows of `data` or `dropped`."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        return pa.concat_tables([pq.read_table(file) for file in self.tables_of(part)])

    def batches(
        self, rows: int, columns: Sequence[str] | None = None, *, part: str = "data"
    ) -> Iterator[pa.RecordBatch]:
        """Yield `data` or `dropped` in order, all columns or some, in batches of at most `rows` rows, holding one at a
        time.
        """
        for path in self.tables_of(part):
            yield from table_batches(path, rows, columns)


def table_batches(path: Path, rows: int, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a Parquet file, all columns or some, in batches of at most `rows` rows; holds one at a time."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path, pre_buffer=False, buffer_size=_READ_AHEAD) as file:
        # each thread would keep pages of its own that it has freed
        yield from file.iter_batches(batch_size=rows, columns=columns, use_threads=False)


def open_artifact(folder: Path) -> Artifact:
    """Open a complete artifact: its record is sound, its files have their sizes, and no other file lies there.

    Contents are compared when they are asked for.

    Raises:
        StoreError: no record or a damaged one; a file that is missing, has another size, or that no record names.
    """
    record = read_record(folder)
    if record is None:
        raise StoreError(f"{folder}: no finished step here (no record.json); `lidr runs` lists what the store holds")
    return with_files(folder, record)


def with_files(folder: Path, record: Record) -> Artifact:
    """The artifact of a record that was read, after a look at its folder.

    Raises:
        StoreError: a file that is missing, has another size, or that no record names.
    """
    for entry in record.files:
        check_size(folder / entry.path, entry, record.place)
    named = {entry.path for entry in record.files}
    for path in unnamed(folder, named):
        raise StoreError(
            f"{folder / path}: no record names this file, so nothing says what it is. Move it elsewhere, or make the "
            f"step again with --rebuild {record.place}"
        )
    return Artifact(folder, record)


def unnamed(folder: Path, named: Collection[str]) -> Iterator[str]:
    """Files below an artifact that its record does not name. Hidden ones (locks, what an editor or a network disk
    leaves) and what belongs to an unfinished try are no part of it, and nobody reads them.
    """
    for here, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        below = os.path.relpath(here, folder)
        for name in sorted(files):
            path = name if below == "." else f"{below}/{name}"
            if path not in named and not path.startswith(WORK_FILES) and not name.startswith("."):
                yield path


def check_size(path: Path, entry: FileEntry, place: str) -> None:
    """Compare the size of a file with its record.

    Raises:
        StoreError: it is missing, or has another size.
    """
    size = path.stat().st_size if path.is_file() else None
    if size != entry.bytes:
        found = "missing" if size is None else f"{size:,} bytes"
        raise StoreError(
            f"{path}: {found}, its record says {entry.bytes:,} bytes. Put the file back as it was, or make the step "
            f"again: lidr run RECIPE --rebuild {place}"
        )


def damaged(path: Path, entry: FileEntry, found: str, place: str) -> StoreError:
    """What is said of a file with another content than its record has."""
    return StoreError(
        f"{path}: damaged: its SHA-256 begins with {found[:16]}, its record says {entry.sha256[:16]}. Put the file "
        f"back as it was, or make the step again: lidr run RECIPE --rebuild {place}"
    )


def in_tables(rows: Iterable[Mapping[str, Any]], schema: pa.Schema) -> Iterator[pa.Table]:
    """Rows as tables of at most ROWS_AT_ONCE, each when it is wanted; an empty one where there are no rows."""
    import pyarrow as pa

    left, is_first = iter(rows), True
    while (some := list(islice(left, ROWS_AT_ONCE))) or is_first:
        yield pa.Table.from_pylist(some, schema)
        is_first = False


class TableWriter:
    """Writes rows of one type to numbered Parquet files, batch by batch."""

    def __init__(self, folder: Path, rows: RowType) -> None:
        """Make the folder; an empty table still gets one file, so that its schema is there."""
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._rows = folder, rows
        self._writer: pq.ParquetWriter | None = None
        self._schema: pa.Schema | None = None  # of the first batch
        self._in_shard = 0
        self.paths: list[Path] = []
        self.rows = 0

    def write(self, table: pa.Table) -> None:
        """Append rows; columns and types must be those of the row type, and the same in all batches."""
        if self._schema is None:
            self._schema = self._rows.schema_with(table.schema.names)
        if self._writer is None or self._in_shard + table.num_rows > SHARD_ROWS:
            self._next_shard()
        assert self._writer is not None
        self._writer.write_table(table.select(self._schema.names).cast(self._schema))
        self._in_shard += table.num_rows
        self.rows += table.num_rows

    def _next_shard(self) -> None:
        import pyarrow.parquet as pq

        if self._writer is not None:
            self._writer.close()
        self.paths.append(self._folder / f"{len(self.paths):05d}.parquet")
        self._writer = pq.ParquetWriter(self.paths[-1], self._schema or self._rows.schema, compression="zstd")
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
                entries.append(FileEntry(relative, path.stat().st_size, hashed(path), rows.get(path)))
        return tuple(entries), content_digest(entries)


WORK_FILES = ("work/", "progress.json", "identity.json", "record.json", ".")
"""What stands in an unfinished folder for the step's own use and is no part of its artifact."""


def _rows_in(path: Path) -> int:
    import pyarrow.parquet as pq

    return int(pq.read_metadata(path).num_rows)
