"""The account of slots of one step: how many were kept, dropped and why, per language, and that none is lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import product
from typing import TYPE_CHECKING, Any

from lidr.rows import Dropped, Kind
from lidr.steps.step_kind import StepRun

if TYPE_CHECKING:
    import polars as pl


class Ledger:
    """Counts slots by language (of other kinds than `sampled` the non-dominant one), kind and reason, and writes the
    dropped rows.
    """

    def __init__(self, run: StepRun, reasons: Sequence[str] = ()) -> None:
        """Start counting; `reasons` that never come up are counted as zero."""
        self._run = run
        self._dominant = run.recipe.languages.dominant
        self._counts: dict[str, Counter[tuple[str, str, str]]] = {
            name: Counter() for name in ("kept", "dropped", "not_requested")
        }
        languages = run.recipe.languages
        is_sampled = run.recipe.are_pairs_sampled
        kinds: tuple[Kind, ...] = ("sampled",) if is_sampled else ("dominant", "non_dominant")
        for reason, language, kind in product(reasons, languages.all if is_sampled else languages.others, kinds):
            self._counts["dropped"][language, kind, reason] = 0

    def drop(self, dropped: pl.DataFrame, *, step: str) -> None:
        """Write dropped slots with their reasons, and count them."""
        import polars as pl

        full = dropped.with_columns(iteration=pl.lit(self._run.iteration, pl.Int32), step=pl.lit(step))
        self._run.out.dropped.write(
            full.select(Dropped.schema.names).to_arrow(compat_level=pl.CompatLevel.oldest()).cast(Dropped.schema)
        )
        self._count("dropped", dropped)

    def keep(self, pairs: pl.DataFrame) -> None:
        """Count slots that are pairs."""
        self._count("kept", pairs)

    def not_requested(self, slots: pl.DataFrame) -> None:
        """Count slots that the recipe does not ask for."""
        self._count("not_requested", slots)

    def _count(self, what: str, frame: pl.DataFrame) -> None:
        import polars as pl

        other = pl.when(pl.col("kind") == "dominant").then("other_language").otherwise("language")
        reason = pl.col("reason") if "reason" in frame.columns else pl.lit("")
        for row in frame.group_by(other.alias("other"), "kind", reason.alias("reason")).len().iter_rows():
            self._counts[what][row[:3]] += row[3]

    def counts(self) -> dict[str, Any]:
        """Rows {language, kind, reason, count} for kept, dropped and not_requested, in a fixed order."""
        return {
            name: [
                {"language": language, "kind": kind, **({"reason": reason} if reason else {}), "count": count}
                for (language, kind, reason), count in sorted(counter.items())
            ]
            for name, counter in self._counts.items()
        }
