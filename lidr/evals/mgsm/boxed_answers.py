"""The number of the last box that holds one, of the last fifty: \\boxed{18}, as mathematics is answered."""

from __future__ import annotations

import re
from decimal import Decimal

from lidr.evals.mgsm.passages import Passage
from lidr.evals.mgsm.sentence_numbers import best_last

_BOX = re.compile(r"\\(?:boxed|fbox)\s{0,9}(?:\{|(?=[-\d]))")
_BOXES = 50  # the last ones that are looked at
_TEXT = r"\\(?:text(?:rm|normal|sf|it)?|mathrm|mbox)\s*\{(?:[^{}]|\{[^{}]*\})*\}"
_UNITS = re.compile(rf"(\d[\s\\,;!~}})$%]*){_TEXT}[\s\\,;!~$]*\d+(?:(?:[.,]|\{{,\}})\d+)*|{_TEXT}")
_TEXT_COMMA = re.compile(r"\\(?:text|mathrm|mathord|mbox)\{,\}")


def boxed(text: str, language: str) -> tuple[Decimal, str] | None:
    """Its value, and the text that it was read from; None without a box that holds a number.

    Args:
        text: as it was said, without thoughts.
        language: code of the prompt's language.
    """
    boxes = list(_BOX.finditer(text))[-_BOXES:]
    insides = [_balanced(text, box.end()) if box[0].endswith("{") else _word(text, box.end()) for box in boxes]
    insides = [_TEXT_COMMA.sub(",", inside) for inside in insides]
    for inside in reversed(insides):
        for shown in (_UNITS.sub(r"\1 ", inside), inside):
            passage = Passage(shown, language)
            if passage.numbers:
                found = best_last(passage.numbers)
                return found.value, passage.text[found.start : found.end]
    for inside in reversed(insides):
        passage = Passage(inside, language)
        if spelled := passage.spelled(0, len(passage.text)):
            return spelled[-1].value, passage.text[spelled[-1].start : spelled[-1].end]
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
