"""What rows are, whatever wrote the file that holds them: SHA-256 over one line of canonical JSON a row, in order."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

_ROWS_AS_OBJECTS = 500  # at a time; they take ten times the memory of the table's


class RowDigest:
    """SHA-256 over the rows in canonical JSON, in order: the same whatever wrote the Parquet file."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self.rows = 0

    def add(self, table: pa.Table) -> None:
        """Take in the next rows."""
        for batch in table.to_batches(max_chunksize=_ROWS_AS_OBJECTS):
            for row in batch.to_pylist():
                text = json.dumps(row, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
                self._hash.update(text.encode() + b"\n")
        self.rows += table.num_rows

    def hexdigest(self) -> str:
        """The digest of all rows so far."""
        return self._hash.hexdigest()


def row_digest(tables: Iterable[pa.Table]) -> str:
    """The digest of rows that the manifest holds: SHA-256 over one line of canonical JSON for each row, in order."""
    digest = RowDigest()
    for table in tables:
        digest.add(table)
    return digest.hexdigest()
