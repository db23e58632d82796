"""Which of several answers goes on alone: that which a scorer values most."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lidr.errors import PlanError
from lidr.rows import SAMPLE
from lidr.steps.step_kind import Surroundings

if TYPE_CHECKING:
    import polars as pl


def scorer_of(around: Surroundings, by: str | None, where: str = "pair.by") -> str:
    """The scorer that a setting names; None names the only one there is.

    Raises:
        PlanError: the recipe's scorers do not have it, or have several and none is named.
    """
    given: list[str] = [name for step in around.recipe.chain if step.name == "score" for name in step.config.given]
    if by is None and len(given) == 1:
        return given[0]
    if by is None and given:
        raise PlanError(f"{where}: missing; name the scorer that is meant: {' or '.join(given)}")
    if given and by not in given:
        raise PlanError(f"{where}: {by}: the step score has no such scorer; it has {', '.join(given)}")
    return by or ""  # without the step score the chain itself is refused


def best_answers(scores: pl.DataFrame, *, dominant: str) -> pl.DataFrame:
    """One answer to each prompt in each language: in the dominant one the best, the first of several; in any other the
    first, and the first too where none is scored.

    Args:
        scores: rows of one scorer, with numbers of samples.

    Returns:
        `prompt_id`, `language`, `sample`.
    """
    import polars as pl

    value = pl.when(pl.col("language") == dominant).then("value")
    ranked = scores.with_columns(worth=value.fill_null(-float("inf"))).sort(
        "worth", SAMPLE, descending=[True, False], maintain_order=True
    )
    return ranked.unique(["prompt_id", "language"], keep="first", maintain_order=True).select(
        "prompt_id", "language", SAMPLE
    )
