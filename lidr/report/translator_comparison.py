"""Two runs that differ in who translates, side by side: failure classes, chrF, and what `measure` found.

Human judgement of the same translations is `lidr/report/rating_sheet.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import polars as pl

from lidr.report.rating_sheet import translated
from lidr.store import Artifact
from lidr.transforms import chrf, mean, share


def compared(translations: Mapping[str, Artifact], measures: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """Compare two translate steps.

    Args:
        translations: name of each run -> its translate step.
        measures: name of a run -> the counts of its measure step; runs without one are left out.

    Returns:
        statuses: share of each status by direction and run; likeness: chrF, 0-100, of the second run's translation
        against the first's, by direction, where both translated the same text; measured: round-trip chrF and reward
        accuracy by run.
    """
    return {
        "statuses": [row for name, artifact in translations.items() for row in _statuses(name, artifact)],
        "likeness": list(_likeness(*(translated(artifact) for artifact in translations.values()))),
        "measured": [row for name, counts in measures.items() for row in _measured(name, counts)],
    }


def _statuses(run: str, artifact: Artifact) -> Iterator[dict[str, Any]]:
    rows = pl.DataFrame(artifact.read())
    for (source, target), group in sorted(rows.group_by("source", "target"), key=lambda one: str(one[0])):
        for status in sorted(group["status"].unique()):
            hits = group.filter(status=status).height
            number = share(hits, group.height)
            yield {"run": run, "source": source, "target": target, "status": status, **number.as_json()}


def _likeness(first: pl.DataFrame, second: pl.DataFrame) -> Iterator[dict[str, Any]]:
    both = first.join(second, on=["prompt_id", "source", "target", "source_text"], suffix="_second")
    for (source, target), group in sorted(both.group_by("source", "target"), key=lambda one: str(one[0])):
        texts = group.select("text_second", "text").iter_rows()
        number = mean([chrf(text, reference) for text, reference in texts], (0.0, 100.0))
        yield {"source": source, "target": target, **number.as_json()}


def _measured(run: str, counts: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for one in counts["numbers"]:
        if one["test"] == "round_trip_chrf":
            number = {name: one[name] for name in ("value", "low", "high", "n")}
            yield {"run": run, "test": "round_trip_chrf", "language": one["language"], "kind": "", **number}
    for one in counts["reward_accuracy"]:
        at = {"language": one["language"], "kind": one["kind"]}
        yield {"run": run, "test": f"reward accuracy by {one['referee']}", **at, **one["accuracy"]}
