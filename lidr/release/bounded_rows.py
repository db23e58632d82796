"""Tables that others published, read in bounds: 100 kB of Parquet may stand for 200,000 rows, or for more than memory.

The number of rows is asked of the file before anything is read, and what is read is counted batch by batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lidr.errors import HubError

if TYPE_CHECKING:
    import pyarrow as pa

MOST_ROWS = 5_000_000
"""Of one step, where nothing says how many there should be."""
_BYTES = 64 << 20  # of a table, besides those of its rows
_BYTES_OF_A_ROW = 1 << 20
_MOST_BYTES = 8 << 30
_BATCH = 256  # rows


def read_bounded(
    files: Sequence[Path], *, most: int = MOST_ROWS, only: tuple[str, str] | None = None
) -> pa.Table | None:
    """The rows of Parquet files, one after the other; None where there are no files.

    Args:
        most: rows that there may be.
        only: a column, and the value of the rows that are kept; all are looked at.

    Raises:
        HubError: more rows, more bytes than so many rows have, damaged values, or no Parquet; the message is one line.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    if not files:
        return None
    try:
        opened = [pq.ParquetFile(file, pre_buffer=False) for file in files]
        rows = sum(file.metadata.num_rows for file in opened)
        if rows > most:
            raise HubError(f"it has {rows:,} rows; by its recipe and its record there are at most {most:,}")
        tables = []
        left = min(_BYTES + rows * _BYTES_OF_A_ROW, _MOST_BYTES)
        for file in opened:
            batches = []
            for batch in file.iter_batches(batch_size=_BATCH):
                if (left := left - batch.nbytes) < 0:
                    raise HubError(f"its {rows:,} rows are larger than texts are")
                batch.validate(full=True)  # texts that are no UTF-8, offsets that lead elsewhere
                kept = batch if only is None else batch.filter(pc.equal(batch[only[0]], only[1]))
                if kept.num_rows:  # an empty one takes memory, too
                    batches.append(kept)
            tables.append(pa.Table.from_batches(batches, file.schema_arrow))
        return pa.concat_tables(tables).combine_chunks()
    except HubError:
        raise
    except (pa.ArrowException, OSError, ValueError, LookupError, TypeError, OverflowError, MemoryError) as error:
        raise HubError((str(error).splitlines() or [type(error).__name__])[0][:300]) from None
