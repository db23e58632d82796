"""Which number is the answer, and by which rule it was read.

What a model thought (<think>) is cut off; of more than 40,000 characters the first and the last 20,000 are read. Of
three rules the first that finds a number wins:

    boxed    the last `\\boxed{...}` that holds a number; in it the last number; one within \\text{...}, or behind a
             \\text{...} that follows a number (18 \\text{ eggs in } 2 \\text{ days}), only where there is no other
    prefix   the last answer word of the language (Antwort, 答え, คำตอบ, ...) or of English that has a number behind it,
             before the next answer word
    last     the whole text

    >>> read_number("Die Antwort lautet 70.000 Dollar in 7 Tagen.", "de")
    Reading(number=Decimal('70000'), rule='prefix', text='70.000')
    >>> read_number("She has eggs.", "en").rule
    'none'

An answer word counts with its capital, or in capitals, anywhere in a line: "Die Antwort lautet 18", "**Answer:** 18",
"Réponse : 18", "Ответ — 18", "答案是18"; "the answer is 18" is read by `last`. What is a number, and what it is worth,
is the matter of `numerals`; numbers inside words, ordinals and marks of lists are passed over where there is
any other number. One that is spelled out (`spelled_numbers`) counts where there are no digits.

Behind an answer word, in the first line that has a number:
    bold numbers alone, where there are any
    a number that opens the line      is the answer, or begins the calculation whose result is it, where a comma, a
                                      bracket, a full stop, a reason or the end of the line stands before the next:
                                      18 dollars, for 9 eggs; 18 because 5 + 13 = 18
    else, in 3 years he has 12 trees  the result of the last calculation, the last that bears a currency, the last that
                                      does not say when, for how many or out of what; those in brackets only where
                                      there is no other

In the whole text:
    1. what is stated: "the answer is", an answer word of another language, a word for result (Ergebnis: 18)
    2. what stands before an explanation, a check or a note, where a number does
    3. a first line that is a number and no more, where no conclusion comes behind it
    4. the last sentence with a number, read as above
"""

from __future__ import annotations

import re
from decimal import Decimal
from functools import lru_cache
from typing import Literal, NamedTuple

from lidr.evals.mgsm.boxed_answers import boxed
from lidr.evals.mgsm.conclusions import conclusion
from lidr.evals.mgsm.numerals import Numeral, plain, shortened
from lidr.evals.mgsm.passages import Passage, whole
from lidr.evals.mgsm.sentence_numbers import best_last, calculates, is_cut, opening, weighed
from lidr.evals.mgsm.words import (
    STATED,
    WORDS,
)
from lidr.reasoning import without_thoughts

Rule = Literal["boxed", "prefix", "last", "none"]


class Reading(NamedTuple):
    """A number, the rule that found it, and the text that it was read from, after `plain`."""

    number: Decimal | None
    rule: Rule
    text: str


_NOTHING = Reading(None, "none", "")
_NO_CHECK = "(?<!ตรวจ)(?<!สอบ)(?<!检查)(?<!检验)(?<!验证)(?<!核对)"  # of the answer: ตรวจคำตอบ


def read_number(text: str, language: str) -> Reading:
    """The number that a response gives as its answer.

    Args:
        text: the response.
        language: code of the prompt's language; one without answer words is read by `boxed` and `last`.
    """
    said = shortened(without_thoughts(text))
    if (box := boxed(said, language)) is not None:
        return Reading(box[0], "boxed", box[1])
    passage = Passage(said, language)
    rule: Rule = "prefix"
    found = _prefixed(passage)
    if found is None:
        rule, found = "last", _concluded(passage)
    if found is not None:
        return Reading(found.value, rule, passage.text[found.start : found.end])
    return _NOTHING


def gold_number(text: str) -> Decimal:
    """The number of a gold answer: digits, with commas between thousands.

    Raises:
        ValueError: it is none.

    >>> gold_number("114,200")
    Decimal('114200')
    """
    try:
        return Decimal(text.replace(",", ""))
    except ArithmeticError:
        raise ValueError(f"no number: {text!r}") from None


def _prefixed(passage: Passage) -> Numeral | None:
    """What stands behind the last answer word that has a number behind it."""
    word = answer_word(passage.language)
    return _behind_last(passage, word) if word else None


@lru_cache(maxsize=64)
def answer_word(language: str) -> re.Pattern[str] | None:
    """Finds the answer word of a language, or that of English, in a plain text; None where a language has none."""
    if language not in WORDS:
        return None
    return re.compile("|".join(_word_pattern(code) for code in dict.fromkeys((language, "en"))))


def _word_pattern(language: str) -> str:
    words = WORDS[language]
    word, capitals = _answer_words(language)
    not_after = f"(?!{words.follows})" if words.follows else ""
    not_before = r"(?<![^\W\d_])" if words.follows and word.isalpha() and word.isascii() else ""
    return f"{not_before}{_NO_CHECK}(?:{re.escape(word)}|{re.escape(capitals)}){not_after}(?!合わせ|の確認)"


def _answer_words(language: str) -> tuple[str, str]:
    word = plain(WORDS[language].answer)
    return word, word.upper()


@lru_cache(maxsize=64)
def _stated(language: str) -> re.Pattern[str]:
    """What states an answer besides the answer word: its words, and the answer words of other languages."""
    codes = [code for code in WORDS if code not in (language, "en")]
    others = "|".join(map(_word_pattern, codes))
    first = "".join(
        sorted({form[0] for code in codes for form in _answer_words(code)})
    )  # few places are looked at twice
    return re.compile(rf"{STATED.pattern}|(?=[{first}])(?:{others})[\x1f ]{{0,3}}:")


def _behind_last(passage: Passage, words: re.Pattern[str], end: int | None = None) -> Numeral | None:
    end = len(passage.text) if end is None else end
    places = list(words.finditer(passage.text, 0, end))
    stops = [place.start() for place in places[1:]] + [end]
    for place, stop in reversed(list(zip(places, stops[: len(places)], strict=True))):
        if found := _first(passage, place.end(), stop):
            return found
    return None


def _first(passage: Passage, start: int, end: int) -> Numeral | None:
    """The number that is stated between two places: of the first line that has one."""
    end = passage.without_questions(start, passage.aside(start, end))
    end = passage.without_hypotheses(start, end)
    is_heading = passage.text[start:end].lstrip(" :\x1f*_#")[:1] == "\n"
    for line_start, line_end in passage.lines(start, end):
        numbers = passage.between(line_start, line_end)
        if numbers:
            found = opening(passage, line_start, line_end, numbers)
            if found is not None:
                return found
            later = whole(passage.between(line_end, end))
            leads_on = is_heading or calculates(passage, numbers) or is_cut(passage, numbers)
            if later and leads_on and calculates(passage, later):
                return conclusion(passage, start, end)
            return weighed(passage, line_start, line_end, numbers)
        spelled = passage.spelled(line_start, line_end)
        if spelled and (max(number.value for number in spelled) > 10 or not passage.between(line_end, end)):
            return best_last(spelled)
    return None


def _concluded(passage: Passage) -> Numeral | None:
    """The number that the whole text comes to."""
    end = len(passage.text)
    if found := _behind_last(passage, _stated(passage.language)):
        return found
    if not passage.numbers:
        spelled = passage.spelled(0, end)
        return best_last(spelled) if spelled else None
    return conclusion(passage, 0, end)
