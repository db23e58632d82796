"""consistency: the share of a prompt's other answers, of all languages, that agree with an answer.

    number     two answers agree where they state the same number
    chrf       the mean chrF, 0-1, between an answer and the others of its own language

The answer that most others give is taken for right, and no language for better than another. `majority` says instead
whether an answer is what most others give.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Literal

from lidr.evals import mgsm
from lidr.recipe import Frozen
from lidr.steps.score.scorer import Answer, Scored, Scorer, World
from lidr.transforms import chrf


class ConsistencyScorer(Frozen):
    """How far the other answers to a prompt agree with an answer."""

    by: Literal["number", "chrf"] = "number"
    """number: the same number is stated, in whatever language; chrf: the wording, within a language."""
    over: Literal["all", "language"] = "all"
    """Whose answers vote, where numbers are compared: those of all languages, or of the answer's own."""


def score_consistency(world: World, config: ConsistencyScorer, asked: Sequence[Answer]) -> Iterator[Scored]:
    """Prompt by prompt; an answer alone, or without a number, has no value."""
    wanted = set(asked)
    for answers in world.of_prompt.values():
        if not wanted.isdisjoint(answers):
            yield from _by_number(answers, config) if config.by == "number" else _by_chrf(answers)


def _by_number(answers: Sequence[Answer], config: ConsistencyScorer) -> Iterator[Scored]:
    said = {answer: mgsm.read_number(answer.text, answer.language).number for answer in answers}
    for answer, number in said.items():
        votes = Counter[Decimal | None](
            said[other]
            for other in answers
            if other is not answer and (config.over == "all" or other.language == answer.language)
        )
        if not votes:
            yield Scored(answer, None, "no_other_answer")
        elif number is None:
            yield Scored(answer, 0.0, "no_number")
        else:
            yield Scored(answer, votes[number] / votes.total(), f"{votes[number]} of {votes.total()}")


def _by_chrf(answers: Sequence[Answer]) -> Iterator[Scored]:
    for answer in answers:
        others = [other for other in answers if other is not answer and other.language == answer.language]
        if not others:
            yield Scored(answer, None, "no_other_answer")
        else:
            total = sum(chrf(answer.text, other.text) for other in others)
            yield Scored(answer, total / len(others) / 100.0, f"chrF with {len(others)}")


CONSISTENCY = Scorer(
    "consistency",
    ConsistencyScorer,
    score_consistency,
    of_all_languages=lambda config: config.by == "number" and config.over == "all",
)
