"""Before and after, language by language, as bars of text.

de  before  ###########++--                     0.575 [0.526, 0.623]
    after   ######################+-            0.890 [0.857, 0.919]
"""

from __future__ import annotations

from collections.abc import Iterator

from lidr.evals.compare.paired_comparison import Section
from lidr.evals.compare.text_tables import closed_cell, dominant_loss
from lidr.evals.statistics import ALL, Estimate
from lidr.intervals import wilson

FULL = ("█", "▓", "░")
"""Below the interval, in it up to the value, in it above the value."""
PLAIN = ("#", "+", "-")

_NAMES = ("before", "after")


def bars(section: Section, *, width: int = 40, signs: tuple[str, str, str] = PLAIN) -> Iterator[str]:
    """One line for each language and evaluation; the score of a bar of full width is 1.

    Args:
        section: of two evaluations, the baseline first, and a share of items: its interval is Wilson's.
        width: characters of a bar.
        signs: FULL where the output can show it.
    """
    longest = max(map(len, section.languages))
    yield " " * (longest + 10) + f"0{'1':>{width - 1}}"
    for language in section.languages:
        for name, model in zip(_NAMES, section.models, strict=True):
            head = language if name == _NAMES[0] else ""
            score = section.paired.scores[model][language]
            yield f"{head:{longest}}  {name:6}  {_bar(score, width, signs):{width}}  {_said(score)}"


def gap_lines(section: Section) -> Iterator[str]:
    """One line for each language that is not the dominant one: its gap before and after, and the share that is gone.

    Example:
        de: 0.418 behind en before, 0.090 after: 78% [71, 85] of the gap is closed
    """
    before, after = section.models
    if note := dominant_loss(section, after):
        yield note
    for language, gap in section.paired.gaps[before].items():
        then, closed = section.paired.gaps[after][language], section.paired.closed[after][language]
        if gap.value is None or then.value is None:
            continue
        name = "mean" if language == ALL else language
        said = f"{closed_cell(closed)} of the gap is closed"
        if closed.value is None:
            said = "no share of it is closed that could be told: the gap before cannot be told from 0"
        elif not (section.paired.differences[after][language] if closed.low is None else closed).excludes_zero:
            said = f"none of it is closed, as far as can be told: {closed_cell(closed)}"
        elif closed.value < 0:
            said = f"it grew: {said}"
        yield f"{name}: {gap.value:.3f} behind {section.dominant} before, {then.value:.3f} after: {said}"


def _bar(score: Estimate, width: int, signs: tuple[str, str, str]) -> str:
    if score.value is None:
        return ""
    low, high = wilson(score.value, score.n)
    ends = [round(width * bound) for bound in (low, score.value, high)]
    return "".join(sign * (end - start) for sign, start, end in zip(signs, [0, *ends], ends, strict=False))


def _said(score: Estimate) -> str:
    if score.value is None:
        return "not scored"
    low, high = wilson(score.value, score.n)
    return f"{score.value:.3f} [{low:.3f}, {high:.3f}]"
