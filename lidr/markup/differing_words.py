"""Which words of two texts differ, by difflib on words; where a script writes no spaces, on characters.

>>> [part.text for part in word_differences("The answer is 7.", "The answer is 12.")[0]]
['The answer is ', '7', '.']
"""

from __future__ import annotations

from difflib import SequenceMatcher
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

import regex  # type: ignore[import-untyped]

MOST_WORDS = 400
"""Of each text that are compared; what comes after is left unmarked, since the comparison may take quadratic time."""
LEAST_SHARED = 0.25
"""Of the words of the shorter text: with less in common, marking would colour nearly everything, and nothing is."""

_WORD = regex.compile(
    r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]\p{M}*|[\p{L}\p{M}\p{N}_]+|\s+|."
)


class Part(NamedTuple):
    """A stretch of a text, and whether its words are missing at this place in the other."""

    text: str
    differs: bool


Parts = tuple[Part, ...]


def word_differences(one: str, other: str, most: int = MOST_WORDS) -> tuple[Parts, Parts]:
    """Cut two texts into parts that both have and parts that only one has.

    Args:
        one, other: texts in the same language; joined again, the parts are the text.
        most: words of each text that are compared.

    Returns:
        The parts of each. Texts that have too little in common are one part each that is not marked.
    """
    words, others = _words(one, most), _words(other, most)
    a, b = ([word for word in found if not word.isspace()] for found in (words, others))
    matcher = SequenceMatcher(None, a, b, autojunk=False)
    blocks = matcher.get_matching_blocks()
    shared = sum(block.size for block in blocks)
    if shared <= LEAST_SHARED * min(len(a), len(b)):
        return _whole(one), _whole(other)
    kept = ({block.a + k for block in blocks for k in range(block.size)},
            {block.b + k for block in blocks for k in range(block.size)})  # fmt: skip
    return _parts(one, words, kept[0]), _parts(other, others, kept[1])


def _words(text: str, most: int) -> list[str]:
    """The first words of a text and the white space between them."""
    found, count = [], 0
    for match in _WORD.finditer(text):
        count += not match[0].isspace()
        if count > most:
            break
        found.append(match[0])
    return found


def _whole(text: str) -> Parts:
    return (Part(text, False),) if text else ()


def _parts(text: str, words: list[str], kept: set[int]) -> Parts:
    """Neighbours of one kind as one part; white space belongs to a difference only inside of one."""
    numbers = iter(range(len(words)))
    marks = [None if word.isspace() else next(numbers) not in kept for word in words]
    marks = [
        bool(mark) if mark is not None else bool(i and marks[i - 1]) and i + 1 < len(marks) and bool(marks[i + 1])
        for i, mark in enumerate(marks)
    ]
    grouped = groupby(zip(words, marks, strict=True), key=itemgetter(1))
    parts = [Part("".join(word for word, _ in group), differs) for differs, group in grouped]
    rest = text[sum(len(part.text) for part in parts) :]
    return (*parts, Part(rest, False)) if rest else tuple(parts)
