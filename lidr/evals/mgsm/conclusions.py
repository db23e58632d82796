"""Which number a text comes to: the one that it answers with first, the only bold one, or that of its last sentence."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise

from lidr.evals.mgsm.numerals import Numeral
from lidr.evals.mgsm.passages import Passage, whole
from lidr.evals.mgsm.sentence_numbers import ENDS, calculates, is_head, weighed
from lidr.evals.mgsm.words import CONCLUDES

_LABEL = re.compile(r"[\s>#*|\x1f-]{0,6}[^\d\n:=+×(]{2,40}:[\s\x1f]")
_UNIT = 20  # characters of a unit, at most
_AT_MOST = 12  # numbers of a short explanation


def conclusion(passage: Passage, start: int, end: int) -> Numeral | None:
    """The number that a text comes to between two places; None where there is none."""
    end = passage.without_questions(start, passage.aside(start, end))
    end = passage.without_hypotheses(start, end)
    lines = [(span, numbers) for span in passage.lines(start, end) if (numbers := passage.between(*span))]
    if not lines:
        return None
    free = [line for line in lines if whole(line[1])] or lines
    (line_start, line_end), numbers = free[-1]
    sentences = [
        (span, inside) for span in passage.sentences(line_start, line_end) if (inside := passage.between(*span))
    ]
    said = [one for one in sentences if any(not passage.is_bracketed(number) for number in whole(one[1]))]
    (sentence_start, sentence_end), inside = (said or sentences)[-1]
    if first := _answered_first(passage, free, inside) or _only_bold(passage, start, end, inside):
        return first
    if label := _LABEL.match(passage.text, sentence_start, sentence_end):
        labelled = passage.between(label.end(), sentence_end)
        if labelled and (labelled_number := _labelled(passage, label.end(), sentence_end, labelled)):
            return labelled_number
    return weighed(passage, sentence_start, sentence_end, inside)


def _labelled(passage: Passage, start: int, end: int, numbers: Sequence[Numeral]) -> Numeral | None:
    """The number right behind a label of the last line (Total: 18 dollars, for 9 eggs)."""
    number = numbers[0]
    if number.standing == "part" or not is_head(passage, start, number.start):
        return None
    if len(numbers) == 1:
        return number
    if calculates(passage, numbers):
        return None
    gap = passage.text[number.end : numbers[1].start]
    named = any(map(str.isalpha, gap))
    return number if ENDS.search(gap) or (named and passage.is_adjunct(numbers[1])) else None


def _answered_first(
    passage: Passage, lines: Sequence[tuple[tuple[int, int], list[Numeral]]], last: Sequence[Numeral]
) -> Numeral | None:
    """The number of a first line that gives the answer before its explanation."""
    (start, end), numbers = lines[0]
    free = whole(numbers)
    if not free:
        return None
    head = next(span for span in passage.sentences(start, end) if whole(passage.between(*span)))
    if len(lines) == 1 and head[1] < end and _is_bare(passage, start, free[0], head[1]):
        return None if CONCLUDES.search(passage.text, head[1], end) else free[0]
    if len(lines) < 2 or len(free) != 1 or not passage.text[end : end + 20].lstrip(" ").startswith("\n"):
        return None
    behind = lines[-1][0]
    if CONCLUDES.search(passage.text, *behind) or any(passage.is_bold(number) for number in last):
        return None
    number = free[0]
    if _is_bare(passage, start, number, end):
        return number
    others = [number for _, numbers in lines[1:] for number in whole(numbers)]
    if len(lines) > 3 or len(others) > _AT_MOST or calculates(passage, others):
        return None
    if passage.bears_money(number) and not passage.bears_money(last[-1]):
        return number
    values = [other.value for other in others]
    return number if passage.is_bold(number) or _comes_of(number.value, values) else None


def _is_bare(passage: Passage, start: int, number: Numeral, end: int) -> bool:
    """Whether nothing is said there but a number and its unit."""
    return is_head(passage, start, number.start) and len(passage.text[number.end : end].strip()) <= _UNIT


def _only_bold(passage: Passage, start: int, end: int, last: Sequence[Numeral]) -> Numeral | None:
    """The only bold number of the text, where its last sentence concludes nothing."""
    bold = [number for number in whole(passage.between(start, end)) if passage.is_bold(number)]
    if len(bold) != 1 or bold[0] in last:
        return None
    if calculates(passage, last):
        values = [number.value for number in whole(passage.between(bold[0].end, end))]
        return bold[0] if bold[0].value not in values and _comes_of(bold[0].value, values) else None
    return None if CONCLUDES.search(passage.text, bold[0].end, end) else bold[0]


def _comes_of(value: Decimal, others: Sequence[Decimal]) -> bool:
    """Whether one operation on two neighbours gives it."""
    return any(value in (a + b, a * b, a - b, b - a) or value * b == a or value * a == b for a, b in pairwise(others))
