"""majority: 1 where an answer states the number that most of a prompt's answers state, 0 where it states another.

No language is taken for better than another (CALM, arXiv 2501.18457); or, with `voters: dominant`, the answer that most
of the dominant ones agree with is what all are held against (CM-Align, 2509.08541). `consistency` gives shares instead:
by them the best answer of a language may still be one that most answers contradict.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Literal

from lidr.evals import mgsm
from lidr.recipe import Frozen
from lidr.steps.score.scorer import Answer, Scored, Scorer, World


class MajorityScorer(Frozen):
    """Whether an answer states the number that most answers to its prompt state."""

    voters: Literal["all", "language", "dominant"] = "all"
    """Whose answers vote: those of all languages, of the answer's own, or of the dominant one."""
    ties: Literal["none", "first"] = "none"
    """Where two numbers have the most votes: no value, or the number that was stated first."""


def score_majority(world: World, config: MajorityScorer, asked: Sequence[Answer]) -> Iterator[Scored]:
    """Prompt by prompt; an answer without a number neither votes nor has a value."""
    wanted = set(asked)
    for answers in world.of_prompt.values():
        if not wanted.isdisjoint(answers):
            yield from by_vote(answers, config, world.languages)


def by_vote(answers: Sequence[Answer], config: MajorityScorer, languages: Sequence[str]) -> Iterator[Scored]:
    """The values of one prompt's answers; of `languages` the first is the dominant one."""
    ordered = sorted(answers, key=lambda one: (languages.index(one.language), one.sample or 0))
    said = {one: mgsm.read_number(one.text, one.language).number for one in ordered}
    for answer, number in said.items():
        booth = {"all": None, "language": answer.language, "dominant": languages[0]}[config.voters]
        votes = Counter(one for other, one in said.items() if one is not None and booth in (None, other.language))
        first = votes.most_common(2)  # of equal counts, that which came first
        if not first:
            yield Scored(answer, None, "no_vote")
        elif config.ties == "none" and len({count for _, count in first}) < len(first):
            yield Scored(answer, None, "tied_vote")
        elif number is None:
            yield Scored(answer, None, "no_number")
        else:
            yield Scored(answer, float(number == first[0][0]), f"{votes[number]} of {votes.total()} votes")


MAJORITY = Scorer("majority", MajorityScorer, score_majority, of_all_languages=lambda config: config.voters == "all")
