"""reward_model: what a sequence classifier that was trained on preferences says of a prompt and an answer: its logit.
Any model of AutoModelForSequenceClassification with a chat template, from safetensors, without code of its own (CroCo,
arXiv 2605.26293, takes one that was trained on English preferences over a multilingual base).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from pydantic import Field

from lidr.steps.score.classifier import Classifier, logits_of
from lidr.steps.score.score_models import identity_of_model
from lidr.steps.score.scorer import Answer, Scored, Scorer, World, by_one

_WHERE = "score.reward_model.model"


class RewardModelScorer(Classifier):
    """A sequence classifier with a chat template that was trained on preferences."""

    engine: Literal["transformers", "vllm"] = Field("transformers", exclude_if=lambda value: value == "transformers")
    """Who runs it: transformers, one answer after the other; vllm, many at once. Values differ in their last digits, so
    it is identity."""


def score_reward_model(world: World, config: RewardModelScorer, asked: Sequence[Answer]) -> Iterator[Scored]:
    """One forward pass; each answer follows its own prompt."""
    talks = [(one.key, world.talk(one)) for one in asked]
    yield from logits_of(world, config, talks, _WHERE, config.engine)


REWARD_MODEL = Scorer(
    "reward_model",
    RewardModelScorer,
    score_reward_model,
    outside=lambda around, config: identity_of_model(around, config.models[0], _WHERE),
    alone=by_one,
)
