"""Which number of a line or sentence it is about: the one that opens it, or the one that weighs most."""

from __future__ import annotations

import re
from collections.abc import Sequence

from lidr.evals.mgsm.calculations import last_result, result
from lidr.evals.mgsm.numerals import Numeral, Standing
from lidr.evals.mgsm.passages import Passage, whole
from lidr.evals.mgsm.words import (
    AFTERWARDS,
    BECAUSE,
    CONCLUDES,
    HEAD,
    ROUNDED,
    SUBORDINATE,
    SWAHILI_NOUN,
    leads_aside,
)

_RANK: dict[Standing, int] = {"free": 2, "modifier": 1, "part": 0}
ENDS = re.compile(r"[,;!?。、।॥\n(\[=≈→]|\.(?=[\s\x1f]|$)|:(?=\s)|\s[—–-]{1,2}\s")
_SIGNS = ("+", "-", "*", "/", "×", "÷", "−")
_CUT = 10_000  # characters; of a text that is longer a part may have been cut, see `shortened`
_SMALL = 10  # spelled-out numbers up to it are words of any text: two of them


def opening(passage: Passage, start: int, end: int, numbers: Sequence[Numeral]) -> Numeral | None:
    """The number that opens a statement, or what the calculation that it begins comes to."""
    bold = [number for number in whole(numbers) if passage.is_bold(number)]
    line = bold or numbers
    first = next((at for at, number in enumerate(line) if number.standing != "part"), 0)
    number = line[first]
    spelled = passage.spelled(start, min(number.start, start + 80)) if not bold else []
    if (
        spelled
        and spelled[0].standing == "free"
        and is_head(passage, start, spelled[0].start)
        and _stands(passage, spelled[0], number)
    ):
        return spelled[0]
    if not is_head(passage, start, number.start):
        return bold[0] if len(bold) == 1 else None
    at = result(passage.text, line, first)
    if at != first:
        return line[at]
    if len(bold) == 1:
        return number
    later = [other for other in numbers if other.start >= number.end]
    if later and AFTERWARDS.match(passage.text, number.end):
        return None
    return number if _stands(passage, number, *later) else None


def is_head(passage: Passage, start: int, end: int) -> bool:
    """Whether nothing but words that lead to a number stands there."""
    head = passage.text[start:end]
    if len(head) > 80:
        return False
    return bool(HEAD.match(head) or (passage.language == "sw" and SWAHILI_NOUN.match(head)))


def _stands(passage: Passage, number: Numeral, *later: Numeral) -> bool:
    """Whether a number is stated by itself, and the next ones are no part of what it says."""
    if not later:
        return True
    gap = passage.text[number.end : later[0].start]
    if BECAUSE.search(gap):
        return True
    at = last_result(passage.text, later)
    if len(passage.text) > _CUT and gap.strip() in _SIGNS:  # it begins a calculation, of which a part was cut
        return False
    if ENDS.search(gap) or not any(map(str.isalpha, gap)):
        return at is None or not CONCLUDES.search(passage.text, number.end, later[at].start)
    return at is None and leads_aside(passage.language).search(gap) is not None


def calculates(passage: Passage, numbers: Sequence[Numeral]) -> bool:
    """Whether these numbers make a calculation with its result."""
    return last_result(passage.text, numbers) is not None


def is_cut(passage: Passage, numbers: Sequence[Numeral]) -> bool:
    """Whether a line is a calculation without its result."""
    if len(passage.text) <= _CUT or len(numbers) < 2:
        return False
    return passage.text[numbers[0].end : numbers[1].start].strip() in _SIGNS


def weighed(passage: Passage, start: int, end: int, numbers: Sequence[Numeral]) -> Numeral:
    """The number that a sentence is about."""
    free = whole(numbers)
    if not free:
        return best_last(numbers)
    bold = [number for number in free if passage.is_bold(number)]
    open_ = [number for number in bold or free if not passage.is_bracketed(number)] or bold or free
    if reason := BECAUSE.search(passage.text, open_[0].end, end):
        open_ = [number for number in open_ if number.start < reason.start()]
    at = last_result(passage.text, numbers)
    if at is not None and (not bold or numbers[at] in bold) and not passage.is_bracketed(numbers[at]):
        later = [number for number in open_ if number.start > numbers[at].start]
        if later and ROUNDED.search(passage.text, numbers[at].end, later[-1].start):
            return later[-1]
        later = [number for number in later if not passage.is_adjunct(number)]
        if not (later and CONCLUDES.search(passage.text, numbers[at].end, later[-1].start)):
            return numbers[at]
        open_ = later
    main = [number for number in open_ if not passage.is_adjunct(number)]
    if not main and (spelled := _spelled_beside(passage, start, end)):
        return spelled
    main = _main_clause(passage, main or open_, end)
    money = [number for number in main if passage.bears_money(number)]
    return best_last(money or main)


def _spelled_beside(passage: Passage, start: int, end: int) -> Numeral | None:
    """The number that a sentence spells out, whose digits only say where or for how many: twelve eggs in 2 baskets."""
    spelled = [number for number in passage.spelled(start, end) if number.standing == "free" and number.value > _SMALL]
    return spelled[0] if len(spelled) == 1 and not passage.is_adjunct(spelled[0]) else None


def _main_clause(passage: Passage, numbers: Sequence[Numeral], end: int) -> list[Numeral]:
    """Without those of a clause behind the first number: 5 dollars after she got 45."""
    if len(numbers) < 2 or not (clause := SUBORDINATE.search(passage.text, numbers[0].end, end)):
        return list(numbers)
    return [number for number in numbers if number.start < clause.start()]


def best_last(found: Sequence[Numeral]) -> Numeral:
    """The last of those that stand by themselves most."""
    return max(enumerate(found), key=lambda at: (_RANK[at[1].standing], at[0]))[1]
