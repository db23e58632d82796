"""Which number is the answer, and by which rule it was read.

Three rules, the first that finds a number wins:

    boxed    the last `\\boxed{...}` that holds a number; in it the last number; one within \\text{...}, or behind a
             \\text{...} that follows a number (18 \\text{ eggs in } 2 \\text{ days}), only where there is no other
    prefix   the last answer word of the language (Antwort, 答え, คำตอบ, ...) that has a number behind it, before the
             next answer word; there the first number, or the result where a calculation begins there (5 + 13 = 18)
    last     the last number of the text

    >>> read_number("Die Antwort lautet 70.000 Dollar in 7 Tagen.", "de")
    Reading(number=Decimal('70000'), rule='prefix', text='70.000')
    >>> read_number("She has eggs.", "en").rule
    'none'

An answer word counts with its capital, or in capitals, anywhere in a line: "Die Antwort lautet 18", "**Answer:** 18",
"Réponse : 18", "Ответ — 18", "答案是18"; "the answer is 18" is read by `last`. What is a number, and what it is worth,
is the matter of `numerals`; numbers inside words, ordinals and marks of lists are passed over where there is
any other number.

A calculation is numbers with operators between them (signs, or words: 3 fois 6, 50% of 80), then an equals sign. What
it comes to stands behind the last sign of a chain, 9 * 2 = 6 * 3 = 18; a next line that begins with = goes on with it.
    no calculation     18 dollars = 1800 cents (two units of one thing), 18 = 5 + 13, 18 (5 + 13 = 18), 18 because
                       5 + 13 = 18, 18. 5 * 2 = 10: nothing but units, brackets and operators may stand between
    rounding           100/3 ≈ 33 and 33.3 ≈ 33 are 33
    one more behind    16 - 3 - 4 = 9 eggs, 9 * 2 = 18 is 18: behind a comma, a semicolon or an arrow a calculation
                       that uses the result before it takes over; 5 + 13 = 18, 2 * 3 = 6 stays 18, and a new sentence
                       never does
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Literal, NamedTuple

from lidr.evals.mgsm.language_words import WORDS
from lidr.evals.mgsm.numerals import Numeral, Standing, numerals, plain

Rule = Literal["boxed", "prefix", "last", "none"]


class Reading(NamedTuple):
    """A number, the rule that found it, and the text that it was read from, after `plain`."""

    number: Decimal | None
    rule: Rule
    text: str


_NOTHING = Reading(None, "none", "")
_BOX = re.compile(r"\\(?:boxed|fbox)\s*(?:\{|(?=[-\d]))")
_RANK: dict[Standing, int] = {"free": 2, "modifier": 1, "part": 0}
_TEXT = r"\\(?:text(?:rm|normal|sf|it)?|mathrm|mbox)\s*\{(?:[^{}]|\{[^{}]*\})*\}"
_UNITS = re.compile(rf"(\d[\s\\,;!~}})$%]*){_TEXT}[\s\\,;!~$]*\d+(?:(?:[.,]|\{{,\}})\d+)*|{_TEXT}")

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
_LINE_END = re.compile(rf"(?<!=)[\n\v\f\x85\u2028\u2029](?![\s&]{{0,9}}(?:{_EQUAL}))")
_WRAP = re.compile(rf"\s*\n[\s&]*(?={_EQUAL})|(?<==)\s*\n\s*")
_BREAK = re.compile(r"[,;!?。、।॥\n]|(?<![^\W\d_])\.|\.(?!\s*[-+*×·/÷⋅:=≈→)])|[:∶](?!\s*[(\s-]*$)")
_BEHIND_RESULT = re.compile(r"[^.:!?()。।॥\n]*(?:[,;、]|[→⇒⟶⟹➔➜➡]|[-=]>)[^.:!?()。।॥\n]*")
_GROUP = re.compile(r"\([^()=\n]{1,40}\)\s*[-+*×·/÷⋅=≈]")


def read_number(text: str, language: str) -> Reading:
    """The number that a response gives as its answer.

    Args:
        text: the response.
        language: code of the prompt's language; one without answer words is read by `boxed` and `last`.
    """
    shown = plain(text)
    return _boxed(text, language) or _prefixed(shown, language) or _last(shown, language) or _NOTHING


def gold_number(text: str) -> Decimal:
    """The number of a gold answer: digits, with commas between thousands.

    Raises:
        ValueError: it is none.

    >>> gold_number("114,200")
    Decimal('114200')
    """
    try:
        return Decimal(text.strip().replace(",", ""))
    except ArithmeticError:
        raise ValueError(f"no number: {text!r}") from None


def _boxed(text: str, language: str) -> Reading | None:
    for box in reversed(list(_BOX.finditer(text))):
        inside = _balanced(text, box.end()) if box[0].endswith("{") else _word(text, box.end())
        for shown in (plain(_UNITS.sub(r"\1 ", inside)), plain(inside)):
            if found := list(numerals(shown, language)):
                return _reading(_best_last(found), "boxed", shown)
    return None


def _word(text: str, start: int) -> str:
    return text[start : start + 60].split()[0]


def _balanced(text: str, start: int) -> str:
    """What stands in braces from `start`; to the end of the line where they are never closed."""
    depth = 1
    for at, character in enumerate(text[start : start + 1000], start):
        depth += (character == "{") - (character == "}")
        if depth == 0:
            return text[start:at]
    return text[start : start + 1000].split("\n", 1)[0]


def _prefixed(text: str, language: str) -> Reading | None:
    word = answer_word(language)
    places = list(word.finditer(text)) if word else []
    stops = [place.start() for place in places[1:]] + [len(text)]
    for place, stop in reversed(list(zip(places, stops[: len(places)], strict=True))):
        if found := _first(text, place.end(), stop, language):
            return _reading(found, "prefix", text)
    return None


@lru_cache(maxsize=64)
def answer_word(language: str) -> re.Pattern[str] | None:
    """Finds the answer word of a language in a plain text; None where it has none."""
    words = WORDS.get(language)
    if words is None:
        return None
    word = plain(words.answer)
    not_after = f"(?!{words.follows})" if words.follows else ""
    not_before = r"(?<![^\W\d_])" if words.follows and word.isalpha() and word.isascii() else ""
    return re.compile(f"{not_before}(?:{re.escape(word)}|{re.escape(word.upper())}){not_after}")


def _first(text: str, start: int, end: int, language: str) -> Numeral | None:
    """The first number between two places, from the first line that has one."""
    lines = _by_line(text, start, end, language)
    line = next((found for found in lines if found), None)
    if line is None:
        return None
    whole = [at for at, numeral in enumerate(line) if numeral.standing != "part"]
    first = whole[0] if whole else 0
    return _result(text, line, first)


def _by_line(text: str, start: int, end: int, language: str) -> Iterator[list[Numeral]]:
    stops = [line_end.end() for line_end in _LINE_END.finditer(text, start, end)]
    for stop in (*stops, end):
        yield [found for found in numerals(text[:stop], language, start) if found.start >= start]
        start = stop


def _result(text: str, line: Sequence[Numeral], first: int) -> Numeral:
    """The number itself, or what the calculation that begins with it comes to, and those that build on that."""
    at = _calculated(text, line, first)
    while first < at < len(line) - 1 and _BEHIND_RESULT.fullmatch(_gap(text, line, at)):
        more = _calculated(text, line, at + 1)
        if line[at].value not in [operand.value for operand in line[at + 1 : more]]:
            break
        at = more
    return line[at]


def _calculated(text: str, line: Sequence[Numeral], first: int) -> int:
    """Which number of the line is the result of the calculation that begins with one of them; itself if none does."""
    results: list[int] = []
    calculates = False
    for at in range(first, len(line) - 1):
        gap = _gap(text, line, at)
        if len(gap) > _FURTHEST or _BREAK.search(gap) or _opens_aside(text, line[at], gap):
            break
        if sign := _EQUALS.search(gap) or _ARROW.search(gap):
            if not (calculates or _goes_on(line[at], gap, sign, is_result=at in results)):
                break
            results.append(at + 1)
            calculates = False
        elif _operates(text, line[at], line[at + 1], gap):
            calculates = True
            if at in results[1:]:  # 5 + 13 = 18 = 9 * 2
                results.pop()
        else:
            break
    return results[-1] if results else first


def _gap(text: str, line: Sequence[Numeral], at: int) -> str:
    """What stands between a number and the next, with its minus."""
    one, other = line[at], line[at + 1]
    is_signed = text[other.start] == "-"
    return _WRAP.sub(" ", text[one.end : other.start + is_signed]) if one.end + 99 > other.start else "\n"


def _goes_on(number: Numeral, gap: str, sign: re.Match[str], is_result: bool) -> bool:
    """Whether an equals sign right behind a number, with no operator before it, leads to a better one."""
    is_direct = not any(map(str.isalpha, gap[: sign.start()]))
    is_rounded = number.value % 1 != 0 and (is_direct or bool(_NEAR.match(sign[0])))
    return is_rounded or (is_result and is_direct and not _ARROW.match(sign[0]))


def _operates(text: str, one: Numeral, other: Numeral, gap: str) -> bool:
    """Whether what stands between two numbers makes a calculation of them."""
    if _OPERATOR.search(gap) or (gap == "(" and _GROUP.match(text, one.end)):
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
    before, bracket, behind = gap.partition("(")
    if not bracket or before.endswith(")"):
        return False
    leads_in = _OPERATOR.search(before) or _EQUALS.search(before) or _ARROW.search(before)
    if leads_in or _EQUALS.match(behind.lstrip()):
        return False
    return not (before == "" and _GROUP.match(text, number.end))


def _last(text: str, language: str) -> Reading | None:
    found = list(numerals(text, language))
    return _reading(_best_last(found), "last", text) if found else None


def _best_last(found: Sequence[Numeral]) -> Numeral:
    return max(enumerate(found), key=lambda at: (_RANK[at[1].standing], at[0]))[1]


def _reading(numeral: Numeral, rule: Rule, text: str) -> Reading:
    return Reading(numeral.value, rule, text[numeral.start : numeral.end])
