"""The scores of a run as a table."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from lidr.analysis import evaluated
from lidr.release.cards import interval

if TYPE_CHECKING:
    import polars as pl

    from lidr.store import Record


def scores_frame(records: Iterable[Record]) -> pl.DataFrame:
    """Every score that a report shows, with its 95% interval.

    Returns:
        iteration, benchmark, form (of the prompt), score, language, value, low, high, n; value in the score's own
        unit, a share of 0-1 or per cent.
    """
    import polars as pl

    rows = [
        (record.iteration, *one.form, score.name, language, cell["value"], *interval(cell, score), cell["n"])
        for one in evaluated(records)
        for score, language, cells in one.scores()
        for record, cell in zip(one.records, cells, strict=True)
        if cell is not None
    ]
    text, number, whole = pl.String, pl.Float64, pl.Int64
    schema = {"iteration": whole, "benchmark": text, "form": text, "score": text, "language": text, "value": number,
              "low": number, "high": number, "n": whole}  # fmt: skip
    return pl.DataFrame(rows, schema, orient="row")
