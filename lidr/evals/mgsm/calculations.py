"""What a calculation comes to: numbers with operators between them, and an equals sign.

Operators are signs, or words: 3 fois 6, 50% of 80. What it comes to stands behind the last sign of a chain,
9 * 2 = 6 * 3 = 18; a next line that begins with = goes on with it.
    no calculation     18 dollars = 1800 cents (two units of one thing), 18 = 5 + 13, 18 (5 + 13 = 18), 18 because
                       5 + 13 = 18, 18. 5 * 2 = 10: nothing but units, brackets and operators may stand between
    one division       120/24 = 5 hours, but 1/2 hour = 30 minutes is none
    rounding           100/3 ≈ 33 and 33.3 ≈ 33 are 33
    one more behind    16 - 3 - 4 = 9 eggs, 9 * 2 = 18 is 18: behind a comma, a semicolon or an arrow a calculation
                       that uses the result before it takes over; 5 + 13 = 18, 2 * 3 = 6 stays 18, and a new sentence
                       never does
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from lidr.evals.mgsm.numerals import Numeral

# Of calculations, as they stand between two numbers. The words of all languages together: they count only on the way to
# an equals sign.
_FURTHEST = 40  # characters from one number of a calculation to the next
_TIMES = (
    r"(?<![^\W\d_])(?:times|plus|minus|(?:multiplied|divided) by|mal|Mal|(?:geteilt )?durch|fois|moins"
    r"|(?:multipli|divis)ée?s? par|(?:multiplicado |dividido )?(?:por|entre)|más|menos|veces"
    r"|(?:умножить|помножить|разделить|поделить) на|плюс|минус|раза? по"
    r"|mara|(?:ku)?(?:zidisha|gawanya)(?: kwa)?|(?:ku)?jumlisha(?: na)?|kutoa|toa)"
    "|[掛か]ける|[足た]す|[引ひ]く|[割わ]る|プラス|乘以?|乗|加上?|[减減]去?|除以"
    "|(?:คูณ|บวก|ลบ|หาร)(?:ด้วย|กับ)?|গুণ|যোগ|বিয়োগ|বিয়োগ|ভাগ|ఇంటూ|ప్లస్|మైనస్"
)
_OPERATOR = re.compile(
    r"[+×·÷⋅∙•✕✖➕➖➗]|(?:^|[\s)])[xXхХ](?:[\s(]|$)|\)\("
    rf"|(?:[-/*∗]|{_TIMES})[\s(]*-?$"  # these have other uses: only right before the second number
    r"|^\)*[:∶]\(*-?$|(?<=\s)[:∶]\s[\s(]*-?$"  # 36 : 2 and 36:2; `18: 2` goes on to explain
)
_PERCENT = re.compile(
    r"\s?(?:%|percent|per cent|Prozent|pour ?cent|por ?ciento|процент\w*|パーセント|เปอร์เซ็นต์|শতাংশ|శాతం)", re.IGNORECASE
)
_PERCENT_BEFORE = re.compile(r"(?:asilimia|ร้อยละ|শতকরা)\s?$")
_OF = re.compile(r"\s*(?:of|von|vom|del?|des|du|от|из|ya|ของ|จาก)\s+(?:the )?|\s*(?:ของ|จาก)")
_OF_BEHIND = re.compile(r"(?:の|的|এর|র|లో|యొక్క)\s*$")
_EQUAL = r"(?<![=<>!/])=(?![=>])|[≈≃≅≒≐]"
_EQUALS = re.compile(
    rf"{_EQUAL}|(?<![^\W\d_])(?:(?:is )?equals?(?: to)?|(?:ist )?gleich|ergibt|égale?|font"
    r"|(?:es )?igual a|равн[оа]|равняется|(?:ni )?sawa na)(?![^\W\d_])|等[于於]|イコール|เท่ากับ|সমান|సమానం"
)
_ARROW = re.compile(r"[→⇒⟶⟹➔➜➡]|[-=]>")
_NEAR = re.compile(r"[≈≃≅≒≐]")
LINE_END = re.compile(rf"(?<!=)[\n\v\f\x85\u2028\u2029](?![\s&]{{0,9}}(?:{_EQUAL}))")
_WRAP = re.compile(rf"\s*\n[\s&]*(?={_EQUAL})|(?<==)\s*\n\s*")
_BREAK = re.compile(r"[,;!?。、।॥\n]|(?<![^\W\d_])\.|\.(?!\s*[-+*×·/÷⋅:=≈→)])|[:∶](?!\s*[(\s-]*$)")
_BEHIND_RESULT = re.compile(r"[^.:!?()。।॥\n]*(?:[,;、]|[→⇒⟶⟹➔➜➡]|[-=]>)[^.:!?()。।॥\n]*")
_GROUP = re.compile(r"\([^()=\n]{1,40}\)\s*[-+*×·/÷⋅=≈]")


def result(text: str, line: Sequence[Numeral], first: int) -> int:
    """Which number of a line its calculation comes to, and those that build on that; the first itself if none does."""
    at = calculated(text, line, first)
    while first < at < len(line) - 1 and _BEHIND_RESULT.fullmatch(_gap(text, line, at)):
        more = calculated(text, line, at + 1)
        if line[at].value not in [operand.value for operand in line[at + 1 : more]]:
            break
        at = more
    return at


def calculated(text: str, line: Sequence[Numeral], first: int) -> int:
    """Which number of the line is the result of the calculation that begins with one of them; itself if none does."""
    return _chain(text, line, first)[0]


def last_result(text: str, line: Sequence[Numeral]) -> int | None:
    """Which number is the result of the last calculation of a line; None if there is none."""
    at, last = 0, None
    while at < len(line) - 1:
        stop = result(text, line, at)
        if stop > at:
            last = stop
        else:
            stop = _chain(text, line, at)[1]  # what begins within a chain without a result has none either
        at = max(stop, at + 1)
    return last


def _chain(text: str, line: Sequence[Numeral], first: int) -> tuple[int, int]:
    """The result of the calculation that begins there, itself if none does; and the last number that belongs to it."""
    results: list[int] = []
    calculates = False
    at = first
    for at in range(first, len(line) - 1):
        gap = _gap(text, line, at)
        if len(gap) > _FURTHEST or (marks := _marks(gap)).breaks or _opens_aside(text, line[at], gap):
            break
        if marks.equals:
            if not (calculates or _goes_on(text, line[at], gap, marks.equals, is_result=results[-1:] == [at])):
                break
            results.append(at + 1)
            calculates = False
        elif marks.operates or _is_share(text, line[at], line[at + 1], gap):
            calculates = True
            if len(results) > 1 and results[-1] == at:  # 5 + 13 = 18 = 9 * 2
                results.pop()
        else:
            break
    else:
        at = len(line) - 1
    return results[-1] if results else first, at


class _Marks(NamedTuple):
    """What stands in a gap between two numbers: a break, an equals sign or arrow, an operator."""

    breaks: bool
    equals: re.Match[str] | None
    operates: bool


@lru_cache(maxsize=4096)  # a text has few kinds of gaps, and some have thousands of gaps
def _marks(gap: str) -> _Marks:
    return _Marks(
        _BREAK.search(gap) is not None, _EQUALS.search(gap) or _ARROW.search(gap), _OPERATOR.search(gap) is not None
    )


def _gap(text: str, line: Sequence[Numeral], at: int) -> str:
    """What stands between a number and the next, with its minus."""
    one, other = line[at], line[at + 1]
    if other.start - one.end >= 99:
        return "\n"
    gap = text[one.end : other.start + (text[other.start] == "-")]
    return _WRAP.sub(" ", gap) if "\n" in gap else gap


def _goes_on(text: str, number: Numeral, gap: str, sign: re.Match[str], *, is_result: bool) -> bool:
    """Whether an equals sign right behind a number, with no operator before it, leads to a better one."""
    is_direct = not any(map(str.isalpha, gap[: sign.start()]))
    is_rounded = number.value % 1 != 0 and (is_direct or bool(_NEAR.match(sign[0])))
    is_worked_out = is_result or _is_fraction(text, number)  # 120/24 = 5
    return is_rounded or (is_worked_out and is_direct and not _ARROW.match(sign[0]))


def _is_share(text: str, one: Numeral, other: Numeral, gap: str) -> bool:
    """Whether two numbers without an operator between them calculate: 2(5 + 4), 50% of 80."""
    if gap == "(" and _GROUP.match(text, one.end):
        return True
    percent = _PERCENT.match(gap)
    is_share = percent or _is_fraction(text, one) or _PERCENT_BEFORE.search(text[max(0, one.start - 12) : one.start])
    if is_share and _OF.fullmatch(gap, percent.end() if percent else 0):
        return True
    is_share_behind = _is_fraction(text, other) or _PERCENT.match(text, other.end)
    return bool(is_share_behind and _OF_BEHIND.search(gap))


def _is_fraction(text: str, number: Numeral) -> bool:
    return "/" in text[number.start : number.end]


def _opens_aside(text: str, number: Numeral, gap: str) -> bool:
    """Whether a bracket opens outside the calculation: 18 (5 + 13 = 18), unlike 2(5 + 4), 2 * (5 + 4), (= 18)."""
    if "(" not in gap:
        return False
    before, _, behind = gap.partition("(")
    if before.endswith(")"):
        return False
    leads_in = _OPERATOR.search(before) or _EQUALS.search(before) or _ARROW.search(before)
    if leads_in or _EQUALS.match(behind.lstrip()):
        return False
    return not (before == "" and _GROUP.match(text, number.end))
