"""What the pairs of a miniature run are worth, by the gold answers."""

from __future__ import annotations

import polars as pl

from lidr.pipeline import Plan
from lidr.store.artifact import open_artifact


def reward_accuracy(plan: Plan, iteration: int = 1) -> dict[str, tuple[float, int]]:
    """Language of the prompt -> share of pairs in which chosen is the right one, of those that tell right from wrong.

    By the gold answers of `measure`; `all` are all pairs.
    """
    step = next(step for step in plan.steps if step.name == "measure" and step.iteration == iteration)
    rows = pl.DataFrame(open_artifact(plan.folder(step)).read())
    rows = rows.filter((pl.col("test") == "reward_gold") & (pl.col("value") != 0.5))
    rows = pl.concat([rows, rows.with_columns(language=pl.lit("all"))])
    means = rows.group_by("language").agg(pl.col("value").mean(), n=pl.len())
    return {code: (value, n) for code, value, n in means.sort("language").iter_rows()}
