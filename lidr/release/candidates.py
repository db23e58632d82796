"""candidates: every response and translation of an iteration, kept or not, in one schema, with its status.

From these rows alone the pairs can be built again, exactly, on any machine.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pyarrow as pa

from lidr.rows import SAMPLE, THOUGHT_COLUMNS, Response, RowType

if TYPE_CHECKING:
    import polars as pl

    from lidr.release.finished import Finished
    from lidr.store import Artifact

ROWS_PER_BATCH = 10_000

Candidate = RowType(
    "candidates",
    {
        "prompt_id": "string",
        "iteration": "int32",
        "kind": "string",  # response, translation, prompt_translation
        "language": "string",  # of `text`
        "source": "string",  # of a translation: the language it was made from
        "prompt_text": "string",  # of a response: what was asked
        "text": "string",
        "raw": "string",  # of a translation: the model's whole answer
        "status": "string",
        "finish_reason": "string",  # of a response
        "prompt_tokens": "int32",
        "completion_tokens": "int32",
        "attempts": "int32",  # of a translation
        "policy": "string",
    },
    key=("prompt_id", "iteration", "kind", "language", "source"),
    later=Response.later,
)

_STATUS = {"stop": "ok", "length": "truncated", "prompt_too_long": "prompt_too_long"}
"""What a response's finish_reason says about it, in the words of translations."""


def candidates(run: Finished, iteration: int) -> Iterator[pa.Table]:
    """Responses, then translations, then those of prompts, where there are any; batch by batch. What was thought before
    them stands beside them if the recipe says so.
    """
    import polars as pl

    prompts = Prompts(run.written("prompts", iteration))
    responses = run.written("responses", iteration)
    more = THOUGHT_COLUMNS if run.publishes_thoughts else ()
    schema = Candidate.schema_with((*more, *({SAMPLE} & {*responses.columns})))
    for batch in responses.batches(ROWS_PER_BATCH):
        frame = prompts.beside(pl.DataFrame(batch))
        status = pl.col("finish_reason").replace_strict(_STATUS, default=pl.col("finish_reason"))
        yield _table(frame.with_columns(kind=pl.lit("response"), status=status), iteration, schema)
    for rows, kind in (("translations", "translation"), ("prompt_translations", "prompt_translation")):
        for artifact in run.all_written(rows, iteration):
            for batch in artifact.batches(ROWS_PER_BATCH):
                frame = pl.DataFrame(batch).rename({"target": "language"})
                yield _table(frame.with_columns(kind=pl.lit(kind)), iteration, schema)


class Prompts:
    """The prompts of an iteration, read once from front to back, as the answers to them come."""

    def __init__(self, artifact: Artifact) -> None:
        import polars as pl

        self._batches = artifact.batches(ROWS_PER_BATCH, ("prompt_id", "language", "text"))
        names = ("prompt_id", "language", "prompt_text")
        self._held = pl.DataFrame(schema=dict.fromkeys(names, pl.String))  # those that an answer may still come to

    def beside(self, answers: pl.DataFrame) -> pl.DataFrame:
        """The answers with `prompt_text`, what was asked; null where no prompt is known."""
        import polars as pl

        key = ("prompt_id", "language")
        while answers.join(self._held, on=key, how="anti").height:
            if (batch := next(self._batches, None)) is None:
                break
            self._held = pl.concat([self._held, pl.DataFrame(batch).rename({"text": "prompt_text"})])
        found = answers.join(self._held, on=key, how="left", maintain_order="left")
        last = answers["prompt_id"][-1]  # more of its answers may come
        self._held = self._held.join(answers.filter(pl.col("prompt_id") != last), on=key, how="anti")
        return found


def _table(frame: pl.DataFrame, iteration: int, schema: pa.Schema) -> pa.Table:
    import polars as pl

    table = frame.with_columns(iteration=pl.lit(iteration, pl.Int32)).to_arrow(compat_level=pl.CompatLevel.oldest())
    columns = {name: table[name] for name in table.schema.names}
    return pa.table([columns.get(f.name, pa.nulls(len(table), f.type)) for f in schema], names=schema.names).cast(
        schema
    )
