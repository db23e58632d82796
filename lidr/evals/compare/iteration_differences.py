"""What changed from one evaluation of a run to the next: for the records of its evaluate steps, and so for its card."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa

from lidr.evals.compare.metrics import METRICS
from lidr.evals.compare.panels import panel_of, values_of
from lidr.evals.reader import Values
from lidr.evals.statistics import ALL, RESAMPLES, SEED, paired
from lidr.intervals import FEW


@dataclass(frozen=True)
class Difference:
    """How much one score of one model differs from a baseline's, in the unit of the score, with its 95% interval.

    Args:
        group: the tasks without their language, as lm-eval's group: `lidr_mgsm`, `lidr_mgsm_instr`.
        language: a code, or `all`: the unweighted mean over languages.
        baseline: what it is compared with.
        n: items that both have.
    """

    benchmark: str
    group: str
    metric: str
    language: str
    baseline: str
    value: float
    low: float | None
    high: float | None
    n: int

    def as_json(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)


def differences(
    before: pa.Table,
    after: pa.Table,
    *,
    baseline: str,
    resamples: int = RESAMPLES,
    seed: int = SEED,
    few: int = FEW,
) -> list[Difference]:
    """What changed from one evaluation to another, paired by item, over the tasks and items that both have.

    Args:
        before, after: `scores.parquet` of the two, asked under the same conditions.
        baseline: how `before` is to be called.
        few: 0 gives the intervals that earlier versions of lidr gave.
    """
    found = []
    for (benchmark, group), tasks in _groups(before, after).items():
        for one in METRICS.get(benchmark, ()):
            if one.is_later or (one.is_fitted and not few):  # what records of then have none of
                continue
            sides = [values_of(table, one) for table in (before, after)]
            values = [{code: side.get(task, {}) for code, task in tasks.items()} for side in sides]
            if not all(map(_is_scored, values)):
                continue
            numbers = paired(
                panel_of(("before", "after"), tuple(tasks), values, one),
                baseline="before",
                resamples=resamples,
                seed=seed,
                few=few,
            )
            for language, e in numbers.differences["after"].items():
                if e.value is not None and (language != ALL or len(tasks) > 1):
                    found.append(
                        Difference(benchmark, group, one.name, language, baseline, e.value, e.low, e.high, e.n)
                    )
    return found


def _is_scored(by_language: Mapping[str, Values]) -> bool:
    return any(value is not None for values in by_language.values() for value in values.values())


def _groups(before: pa.Table, after: pa.Table) -> dict[tuple[str, str], dict[str, str]]:
    """(benchmark, group) -> language -> task, of the tasks that both tables have, in the order of the second."""
    names = ["task", "benchmark", "language"]
    known = set(before["task"].unique().to_pylist())
    found: dict[tuple[str, str], dict[str, str]] = {}
    for row in after.select(names).group_by(names, use_threads=False).aggregate([]).to_pylist():
        if row["task"] in known:
            group = re.sub(rf"_{re.escape(row['language'])}(?=_|$)", "", row["task"], count=1)
            found.setdefault((row["benchmark"], group), {})[row["language"]] = row["task"]
    return found
