"""How much of each language's gap a run closed: the shares that `lidr eval compare` prints, for the page of a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from lidr import evals
from lidr.errors import LidrError
from lidr.evals import ALL, Estimate
from lidr.evals import compare as comparison

if TYPE_CHECKING:
    from pathlib import Path

    from lidr.analysis import Evaluated, ShownScore

Scores = Mapping[str, tuple[float, float]]
"""Language -> score before and after."""


def gaps_closed(
    one: Evaluated, score: ShownScore, dominant: str, folders: tuple[Path, Path], scores: Scores
) -> Mapping[str, Estimate]:
    """Share of the gap to the dominant language that is gone, 1 - gap after / gap before, by language and ALL.

    Args:
        folders: of the two evaluate steps. Where their items are not beside their records, as in a store that was
            copied without data, the shares come from the scores and have no interval.
        scores: of the languages that both have.
    """
    try:
        found = comparison.compare(
            evals.open_evaluations([str(folder) for folder in folders]),
            benchmark=one.form[0],
            metric=score.name,
            dominant=dominant,
        )
    except (LidrError, OSError):
        return _of_scores(scores, dominant)
    for section in found.sections:
        if section.variant == one.form[1] and set(section.languages) == set(scores):
            return section.paired.closed.get(section.models[-1], {})
    return _of_scores(scores, dominant)


def _of_scores(scores: Scores, dominant: str) -> dict[str, Estimate]:
    others = [code for code in scores if code != dominant]
    if dominant not in scores or not others:
        return {}
    gaps = {code: [best - own for best, own in zip(scores[dominant], scores[code], strict=True)] for code in others}
    gaps[ALL] = [sum(gap[i] for gap in gaps.values()) / len(others) for i in (0, 1)]
    return {
        code: Estimate(1 - after / before if before > 0 else None, None, None, None, 0)
        for code, (before, after) in gaps.items()
    }
