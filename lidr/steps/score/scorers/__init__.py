"""The scorers, one file each: what an answer is worth. A new one is its file here and its row below, the last; the
contract is `lidr/steps/score/scorer.py`, and CONTRIBUTING.md says what else is to be written.

In: a `World` (prompts, all answers, the run) and the answers that are asked for. Out: a `Scored` for each.
"""

from __future__ import annotations

from collections.abc import Mapping

from lidr.steps.score.scorer import Scorer
from lidr.steps.score.scorers.consistency_scorer import CONSISTENCY
from lidr.steps.score.scorers.gold_scorer import GOLD
from lidr.steps.score.scorers.implicit_scorer import IMPLICIT
from lidr.steps.score.scorers.judge_scorer import JUDGE
from lidr.steps.score.scorers.language_scorer import LANGUAGE
from lidr.steps.score.scorers.latent_scorer import LATENT
from lidr.steps.score.scorers.majority_scorer import MAJORITY
from lidr.steps.score.scorers.mt_quality_scorer import MT_QUALITY
from lidr.steps.score.scorers.reward_model_scorer import REWARD_MODEL

__all__ = ["SCORERS"]

_ALL = (
    GOLD,
    LANGUAGE,
    CONSISTENCY,
    MAJORITY,
    IMPLICIT,
    LATENT,
    REWARD_MODEL,
    JUDGE,
    MT_QUALITY,
)

SCORERS: Mapping[str, Scorer] = {scorer.name: scorer for scorer in _ALL}
"""A recipe's word -> its scorer."""
