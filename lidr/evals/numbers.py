"""Which number is the answer, and by which rule it was read.

Three rules, the first that finds a number wins:

    boxed    the last `\\boxed{...}` that holds a number; in it the last number
    prefix   the last answer word of the language (Antwort, 答え, คำตอบ, ...) that has a number behind it, before the
             next answer word; there the first number, or the result where a calculation begins there (5 + 13 = 18)
    last     the last number of the text

    >>> read_number("Die Antwort lautet 70.000 Dollar in 7 Tagen.", "de")
    Reading(number=Decimal('70000'), rule='prefix', text='70.000')
    >>> read_number("She has eggs.", "en").rule
    'none'

An answer word counts with its capital, or in capitals, anywhere in a line: "Die Antwort lautet 18", "**Answer:** 18",
"Réponse : 18", "Ответ — 18", "答案是18"; "the answer is 18" is read by `last`. What is a number, and what it is worth,
is the matter of `lidr.evals.numerals`; numbers inside words, ordinals and marks of lists are passed over where there is
any other number.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Literal, NamedTuple

from lidr.evals.mgsm_words import WORDS
from lidr.evals.numerals import Numeral, Standing, numerals, plain

Rule = Literal["boxed", "prefix", "last", "none"]


class Reading(NamedTuple):
    """A number, the rule that found it, and the text that it was read from, after `plain`."""

    number: Decimal | None
    rule: Rule
    text: str


_NOTHING = Reading(None, "none", "")
_BOX = re.compile(r"\\(?:boxed|fbox)\s*(?:\{|(?=[-\d]))")
_RANK: dict[Standing, int] = {"free": 2, "modifier": 1, "part": 0}
_OPERATOR = re.compile(r"[-+*×·/÷⋅]|(?:^|\s)[xX](?:\s|$)")
_BREAK = re.compile(r"[.,;:!?()。、，；\n]")


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
        inside = plain(
            _balanced(text, box.end()) if box[0].endswith("{") else text[box.end() : box.end() + 60].split()[0]
        )
        if found := list(numerals(inside, language)):
            return _reading(_best_last(found), "boxed", inside)
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
    for line in text[start:end].splitlines(keepends=True):
        stop = start + len(line)
        yield [found for found in numerals(text[:stop], language, start) if found.start >= start]
        start = stop


def _result(text: str, line: Sequence[Numeral], first: int) -> Numeral:
    """The number itself, or what the calculation that begins with it comes to."""
    found, calculates = line[first], False
    for one, other in zip(line[first:], line[first + 1 :], strict=False):
        gap = text[one.end : other.start]
        if len(gap) > 40 or _BREAK.search(gap):
            break
        if "=" in gap and calculates:
            found = other
        elif _OPERATOR.search(gap) or text[other.start] == "-":
            calculates = True
        else:
            break
    return found


def _last(text: str, language: str) -> Reading | None:
    found = list(numerals(text, language))
    return _reading(_best_last(found), "last", text) if found else None


def _best_last(found: Sequence[Numeral]) -> Numeral:
    return max(enumerate(found), key=lambda at: (_RANK[at[1].standing], at[0]))[1]


def _reading(numeral: Numeral, rule: Rule, text: str) -> Reading:
    return Reading(numeral.value, rule, text[numeral.start : numeral.end])
