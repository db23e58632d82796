"""candidates: every response and translation of an iteration, kept or not, in one schema, with its status.

From these rows alone the pairs can be built again, exactly, on any machine.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pyarrow as pa

from lidr.rows import METADATA, RowType

if TYPE_CHECKING:
    import polars as pl

    from lidr.release.finished import Finished

ROWS_PER_BATCH = 10_000

Candidate = RowType(
    "candidates",
    pa.schema(
        [
            ("prompt_id", pa.string()),
            ("iteration", pa.int32()),
            ("kind", pa.string()),  # response, translation
            ("language", pa.string()),  # of `text`
            ("source", pa.string()),  # of a translation: the language it was made from
            ("prompt_text", pa.string()),  # of a response: what was asked
            ("text", pa.string()),
            ("raw", pa.string()),  # of a translation: the model's whole answer
            ("status", pa.string()),
            ("finish_reason", pa.string()),  # of a response
            ("prompt_tokens", pa.int32()),
            ("completion_tokens", pa.int32()),
            ("attempts", pa.int32()),  # of a translation
            ("policy", pa.string()),
        ],
        metadata=METADATA,
    ),
    key=("prompt_id", "iteration", "kind", "language", "source"),
)

_STATUS = {"stop": "ok", "length": "truncated", "prompt_too_long": "prompt_too_long"}
"""What a response's finish_reason says about it, in the words of translations."""


def candidates(run: Finished, iteration: int) -> Iterator[pa.Table]:
    """Responses, then translations, batch by batch."""
    import polars as pl

    prompts = pl.DataFrame(run.written("prompts", iteration).read()).rename({"text": "prompt_text"})
    for batch in run.written("responses", iteration).batches(ROWS_PER_BATCH):
        frame = pl.DataFrame(batch).join(prompts, on=("prompt_id", "language"), how="left", maintain_order="left")
        status = pl.col("finish_reason").replace_strict(_STATUS, default=pl.col("finish_reason"))
        yield _table(frame.with_columns(kind=pl.lit("response"), status=status), iteration)
    for batch in run.written("translations", iteration).batches(ROWS_PER_BATCH):
        frame = pl.DataFrame(batch).rename({"target": "language"})
        yield _table(frame.with_columns(kind=pl.lit("translation")), iteration)


def _table(frame: pl.DataFrame, iteration: int) -> pa.Table:
    import polars as pl

    table = frame.with_columns(iteration=pl.lit(iteration, pl.Int32)).to_arrow(compat_level=pl.CompatLevel.oldest())
    columns = {name: table[name] for name in table.schema.names}
    schema = Candidate.schema
    return pa.table([columns.get(f.name, pa.nulls(len(table), f.type)) for f in schema], names=schema.names).cast(
        schema
    )
