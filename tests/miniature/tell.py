"""What a run of the miniature recipe came to, read from its artifacts."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa

from lidr.evals.compare import differences
from lidr.pipeline import KEPT, Plan
from lidr.store import open_artifact

Curve = Mapping[int, Mapping[str, tuple[float, int]]]
"""Iteration -> language -> accuracy (0-1) and the number of problems; 0 is the first policy."""


def scores(plan: Plan) -> dict[int, pa.Table]:
    """Iteration -> scores of its policy, where it was evaluated; 0 is the first policy."""
    steps = (step for step in plan.steps if step.name == "evaluate" and step.state in KEPT)
    return {step.iteration: open_artifact(plan.folder(step)).read() for step in steps}


def accuracies(tables: Mapping[int, pa.Table]) -> dict[int, dict[str, tuple[float, int]]]:
    """The curve of a run."""
    import polars as pl

    found = {}
    for iteration, table in sorted(tables.items()):
        rows = pl.DataFrame(table).filter(pl.col("metric") == "acc").drop_nulls("value")
        means = rows.group_by("language", maintain_order=True).agg(pl.col("value").mean(), n=pl.len())
        found[iteration] = {code: (value, n) for code, value, n in means.iter_rows()}
    return found


def gains(before: pa.Table, after: pa.Table) -> dict[str, tuple[float, float | None, float | None]]:
    """Language -> gain in accuracy, paired by problem, and its 95% interval; `all` is the mean over languages."""
    found = differences(before, after, baseline="iter_0")
    return {one.language: (one.value, one.low, one.high) for one in found if one.metric == "acc"}
