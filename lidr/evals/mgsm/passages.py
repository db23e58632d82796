"""An answer as its number is looked for in it: the plain text, its numbers, its lines, what is bold or in brackets."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from functools import cached_property

from lidr.evals.mgsm.calculations import LINE_END
from lidr.evals.mgsm.numerals import BOLD, Numeral, Point, numerals, plain
from lidr.evals.mgsm.words import (
    ASIDE,
    CLOSES,
    HYPOTHETICAL,
    MINUS,
    MONEY_BEFORE,
    MONEY_BEHIND,
    follows_aside,
    leads_aside,
    sets_out,
    spelled_numbers,
    writes_decimal_points,
)

Span = tuple[int, int]

_SENTENCE_END = re.compile(r"[。！？।॥]|[.!?](?=[\x1f\"'»)*]{0,2}\s+[^a-zа-яß-ÿ\s])")
_ASKS = re.compile(r"(?:[?？]|ไหม|หรือไม่|หรือเปล่า)(?:[\s\x1f]|ครับ|คะ|ค่ะ|[^\w\s.,:;)])*\Z")
_COMMA_IS_DECIMAL = ("de", "es", "fr", "ru")
_DECIMAL_COMMA = re.compile(r"(?<![\d.,])\d+,(?:\d{1,2}|\d{4,9})(?![\d,])")
_NEAR = 24  # characters beside a number in which a word about it stands


class Passage:
    """A text as `plain` gives it, and what is in it. Places are offsets into `text`."""

    def __init__(self, text: str, language: str) -> None:
        self.text = plain(text)
        self.language = language
        point: Point = "decimals" if writes_decimal_points(self.text, language) else "thousands"
        comma: Point = "decimals" if language in _COMMA_IS_DECIMAL and _DECIMAL_COMMA.search(self.text) else "thousands"
        self.numbers = [self._signed(number) for number in numerals(self.text, language, point=point, comma=comma)]
        self._starts = [number.start for number in self.numbers]

    def between(self, start: int, end: int) -> list[Numeral]:
        """The numbers that begin there."""
        return self.numbers[bisect_left(self._starts, start) : bisect_left(self._starts, end)]

    def lines(self, start: int, end: int) -> Iterator[Span]:
        """The lines between two places; one that goes on with an equals sign is one."""
        for line_end in LINE_END.finditer(self.text, start, end):
            yield start, line_end.end()
            start = line_end.end()
        yield start, end

    def sentences(self, start: int, end: int) -> Iterator[Span]:
        """The sentences of a line."""
        for sentence_end in _SENTENCE_END.finditer(self.text, start, end):
            yield start, sentence_end.end()
            start = sentence_end.end()
        yield start, end

    def aside(self, start: int, end: int) -> int:
        """Where the explanation or check begins that stands behind a number; the end if there is none."""
        for mark in ASIDE.finditer(self.text, start, end):
            before = self.between(start, mark.start())
            if whole(before) and not sets_out(self.text[max(start, mark.start() - 200) : mark.start()]):
                return mark.start()
        return end

    def without_questions(self, start: int, end: int) -> int:
        """Where the questions begin that the text closes with, as far as a number stands before them."""
        places = [place for line in self.lines(start, end) for place in self.sentences(*line)]
        for sentence_start, sentence_end in reversed(places):
            said = self.text[sentence_start:sentence_end]
            if any(map(str.isalnum, said)) and not _ASKS.search(said):
                break
            if not whole(self.between(start, sentence_start)):
                break
            end = sentence_start
        return end

    def without_hypotheses(self, start: int, end: int) -> int:
        """Where a last sentence begins that says what would be with more, behind one that closes an answer."""
        lines = [line for line in self.lines(start, end) if any(map(str.isalnum, self.text[slice(*line)]))]
        places = list(self.sentences(*lines[-1])) if lines else []
        places = [place for place in places if any(map(str.isalnum, self.text[slice(*place)]))]
        if len(places) < 2 or not HYPOTHETICAL.match(self.text, *places[-1]):
            return end
        before = places[-2]
        return places[-1][0] if whole(self.between(*before)) and CLOSES.search(self.text, *before) else end

    def spelled(self, start: int, end: int) -> list[Numeral]:
        """The numbers that are spelled out there, in the language of the prompt, else in English."""
        shown = self.text[start:end]
        for language in dict.fromkeys((self.language, "en")):
            if found := list(spelled_numbers(shown, language)):
                return [
                    self._signed(
                        Numeral(
                            one.value,
                            one.start + start,
                            one.end + start,
                            "free" if one.value > 1 or one.words > 1 else "part",
                        )
                    )
                    for one in found
                ]
        return []

    def _signed(self, number: Numeral) -> Numeral:
        """With the word `minus` before it, where nothing is there that it is taken from."""
        before = self.text[max(0, number.start - _NEAR) : number.start]
        sign = MINUS.search(before)
        if sign is None or number.value < 0:
            return number
        left = before[: sign.start()].rstrip(" \x1e\x1f")
        is_said = not left or left[-1] in ":=.,;(\n—-、。：" or _COPULA.search(left) is not None
        return number._replace(value=-number.value) if is_said else number

    @cached_property
    def _bold(self) -> list[Span]:
        spans: list[Span] = []
        opened: int | None = None
        for mark in re.finditer(f"{BOLD}|\n\\s*\n", self.text):
            if mark[0] != BOLD:
                opened = None
            elif opened is None:
                opened = mark.end()
            else:
                spans.append((opened, mark.start()))
                opened = None
        return spans

    @cached_property
    def _bracketed(self) -> list[Span]:
        spans: list[Span] = []
        opened: list[int] = []
        for mark in re.finditer(r"[(\[）\]）)（\n]", self.text):
            if mark[0] == "\n":
                opened.clear()
            elif mark[0] in "([（":
                opened.append(mark.start())
            elif opened:
                start = opened.pop()
                if not opened:
                    spans.append((start, mark.start()))
        return spans

    def is_bold(self, number: Numeral) -> bool:
        """Whether it is printed bold."""
        return _within(self._bold, number.start)

    def is_bracketed(self, number: Numeral) -> bool:
        """Whether it stands in brackets."""
        return _within(self._bracketed, number.start)

    def bears_money(self, number: Numeral) -> bool:
        """Whether a currency stands beside it."""
        before = self.text[max(0, number.start - _NEAR) : number.start]
        return bool(MONEY_BEHIND.match(self.text, number.end) or MONEY_BEFORE.search(before))

    def is_adjunct(self, number: Numeral) -> bool:
        """Whether it says when, for how many or out of what: in 3 years, for 9 eggs, 7日で."""
        behind = follows_aside(self.language)
        if behind is not None and behind.match(self.text, number.end):
            return True
        before = self.text[max(0, number.start - _NEAR) : number.start]
        if not leads_aside(self.language).search(before):
            return False
        is_year = 1900 <= number.value <= 2100 and number.end - number.start == 4
        return is_year or bool(_NAMED.match(self.text, number.end)) or bool(_NOUN_BEFORE.search(before))


_COPULA = re.compile(r"(?:is|was|ist|lautet|beträgt|es|est|ni|будет|это|是|は|คือ|হল|হলো)$")
_NAMED = re.compile(r"[\x1e\x1f -]{0,3}[^\W\d_]|\x1e")
_NOUN_BEFORE = re.compile(r"[^\W\d_\x00-\x7f][ \x1f]?\Z|\w{3,} \Z")


def _within(spans: Sequence[Span], place: int) -> bool:
    at = bisect_left(spans, (place + 1,)) - 1
    return at >= 0 and place < spans[at][1]


def whole(numbers: Sequence[Numeral]) -> list[Numeral]:
    """The numbers that are no part of a word, a time or a mark of a list."""
    return [number for number in numbers if number.standing != "part"]
