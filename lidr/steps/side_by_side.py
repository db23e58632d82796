"""Prompts, responses and translations read side by side, in batches of whole prompts, each table once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from lidr.errors import RowError
from lidr.rows import SAMPLE
from lidr.store import Artifact

if TYPE_CHECKING:
    import polars as pl

PROMPTS_PER_BATCH = 500
"""Prompts joined at a time; with 4 languages and 2 kB texts about 30 MB."""

COLUMNS = (
    ("prompt_id", "language", "text"),
    ("prompt_id", "language", "text", "finish_reason"),
    ("prompt_id", "source", "target", "text", "status"),
)
"""What is read of prompts, responses and translations; raw answers stay on disk."""


def aligned(
    inputs: Sequence[Artifact],
    rows: int,
    *,
    thoughts: bool = False,
    numbers: bool = False,
    more: Sequence[tuple[Artifact, Sequence[str]]] = (),
) -> Iterator[tuple[pl.DataFrame, ...]]:
    """Read tables side by side, batch by batch, each batch holding all rows of the same prompts; responses with their
    thoughts, and with the numbers of several answers, where those are asked for.

    Every artifact stands in prompt order, so each table is read once, from front to back.

    Args:
        inputs: prompts, responses, and translations where there are any.
        rows: that are read at once of a table.
        thoughts, numbers: whether those columns are read.
        more: further tables beside them, and their columns that are read.

    Raises:
        RowError: a table is in another order or names prompts that the first does not have.
    """
    import polars as pl

    first, *others = inputs
    number = (SAMPLE,) if numbers else ()
    columns = ((*COLUMNS[1], *number, *(("reasoning",) if thoughts else ())), (*COLUMNS[2], *number))
    beside = [*zip(others, columns, strict=False), *more]
    cursors = [_Cursor(artifact, rows, names) for artifact, names in beside]
    carry: pl.DataFrame | None = None
    for batch in first.batches(rows, COLUMNS[0]):
        frame = pl.DataFrame(batch)
        frame = frame if carry is None else pl.concat([carry, frame])
        last = frame["prompt_id"][-1]
        carry = frame.filter(pl.col("prompt_id") == last)
        whole = frame.filter(pl.col("prompt_id") != last)
        if whole.height:
            yield (whole, *(cursor.take(whole["prompt_id"].unique()) for cursor in cursors))
    if carry is not None:
        yield (carry, *(cursor.take(carry["prompt_id"].unique()) for cursor in cursors))
    for cursor in cursors:
        cursor.expect_end()


class _Cursor:
    """Reads one table from front to back, up to the first row of a prompt that is not asked for."""

    def __init__(self, artifact: Artifact, rows: int, columns: Sequence[str]) -> None:
        self._batches = artifact.batches(rows, columns)
        self._place = artifact.record.place
        self._rest: pl.DataFrame | None = None

    def take(self, ids: pl.Series) -> pl.DataFrame:
        import polars as pl

        taken: list[pl.DataFrame] = []
        while (frame := self._next()) is not None:
            inside = frame["prompt_id"].is_in(ids.implode())
            stop = frame.height if inside.all() else int(inside.arg_min() or 0)
            taken.append(frame[:stop])
            if stop < frame.height:
                self._rest = frame[stop:]
                break
        return pl.concat(taken)

    def _next(self) -> pl.DataFrame | None:
        import polars as pl

        if self._rest is not None:
            frame, self._rest = self._rest, None
            return frame
        batch = next(self._batches, None)
        return None if batch is None else pl.DataFrame(batch)

    def expect_end(self) -> None:
        if (frame := self._next()) is not None:
            raise RowError(
                f"{self._place} has rows of the prompt {frame['prompt_id'][0]}, which is not in prompt order or not "
                f"among the prompts; make it again with --rebuild {self._place}"
            )
