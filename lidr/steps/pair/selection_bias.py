"""What the pair step dropped, against what it kept: gathered while the tables stream through, a few bytes a slot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars as pl

    from lidr.transforms import PairResult, PairRules


class SelectionBias:
    """Gathers what was dropped and kept, batch by batch; a few bytes a slot."""

    def __init__(self) -> None:
        self._units: list[pl.DataFrame] = []

    def add(self, result: PairResult, prompts: pl.DataFrame, responses: pl.DataFrame, rules: PairRules) -> None:
        """Take one batch."""
        import polars as pl

        from lidr.transforms import prompt_kind, units_of_slots

        bound = pl.col("prompt_id").is_in([*rules.bound, *rules.detected])
        of_dominant = prompts.filter(pl.col("language") == rules.dominant)
        kinds = of_dominant.select("prompt_id", prompt_kind=prompt_kind(pl.col("text"), bound))
        units = units_of_slots(result.pairs, result.dropped, kinds, responses, dominant=rules.dominant)
        self._units.append(units)

    def counts(self) -> dict[str, Any]:
        """The report, as a section of the step's counts."""
        import polars as pl

        from lidr.transforms import selection_bias

        return {"selection": selection_bias(pl.concat(self._units))} if self._units else {}
