"""Answers as text, without what a model thought before them. Where there are token ids, `channel` reads those instead.

>>> told_apart("<think>Honey?</think>Honey."), told_apart("Honey?</think>Honey."), told_apart("<think>Honey")
(('Honey.', 'Honey?', False), ('Honey.', 'Honey?', False), ('', 'Honey', True))
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from lidr.reasoning.harmony import FINAL, Span, told_apart_in_channels
from lidr.reasoning.marks import FAMILIES, HARMONY, Marks

_TAGS = tuple(marks for marks in FAMILIES.values() if marks is not HARMONY)
_WRITTEN = ("think", "thinking", "thoughts?", "reasoning", "reflection", "scratchpad")
"""Tags that models write where a prompt asks them to think first: read in answers to benchmarks and of judges only."""


class Mark(NamedTuple):
    """A mark in a text, or among ids: where it is, and whether it ends thoughts."""

    start: int
    end: int
    closes: bool


def spans(marks: Iterable[Mark], length: int, *, is_thinking: bool = False) -> tuple[list[Span], list[Span], bool]:
    """What is said and what is thought, and whether it ends in a thought.

    A mark that closes without one that opens ends the thoughts all the same: the opening one stands in the prompt.

    >>> spans([Mark(3, 4, True)], 9)
    ([(4, 9)], [(0, 3)], False)
    """
    said: list[Span] = []
    thought: list[Span] = []
    at = 0
    for mark in marks:
        if mark.closes and not is_thinking:
            thought += said
            said = []
        is_said = not is_thinking and not mark.closes
        (said if is_said else thought).append((at, mark.start))
        is_thinking, at = not mark.closes, mark.end
    (thought if is_thinking else said).append((at, length))
    return said, thought, is_thinking


def told_apart(
    text: str, families: Sequence[Marks] = (*_TAGS, HARMONY), *, is_thinking: bool = False
) -> tuple[str, str, bool]:
    """An answer that came as text: what is said, what is thought, and whether it ended in a thought.

    Args:
        text: the whole answer.
        families: whose marks count.
        is_thinking: the prompt ended with an opening mark.

    Of an answer that never stopped thinking nothing is said. One without marks is as it was.
    """
    if HARMONY in families and (found := told_apart_in_channels(text)) is not None:
        return found
    tags = [one for one in families if one is not HARMONY]
    parts = parted(text, tags, is_thinking=is_thinking)
    if parts is None:
        return text, "", False
    said, thought, is_open = parts
    if is_open:
        said, thought = [], sorted(said + thought)
    thoughts = "".join(text[start:end] for start, end in thought)
    for one in tags:
        thoughts = without_label(thoughts, one)
    return "".join(text[start:end] for start, end in said).lstrip(), thoughts.strip(), is_open


def parted(
    text: str, tags: Sequence[Marks], *, is_thinking: bool = False
) -> tuple[list[Span], list[Span], bool] | None:
    """As `spans`, of a text with marks of these families; None where it is an answer as it is."""
    begun = text.lstrip()
    marks = _marks(text, [one for one in tags if not one.is_phrase or begun.startswith(one.opens)])
    if not is_thinking and not (marks and (marks[0].closes or text[: marks[0].start].isspace() or not marks[0].start)):
        return None  # an opening mark after the first word is one that the answer is about
    return spans(marks, len(text), is_thinking=is_thinking)


def _marks(text: str, tags: Sequence[Marks]) -> list[Mark]:
    if not tags:
        return []
    any_of = re.compile("|".join(re.escape(mark) for one in tags for mark in (one.opens, one.closes)))
    closing = {one.closes for one in tags}
    return [Mark(found.start(), found.end(), found[0] in closing) for found in any_of.finditer(text)]


def without_label(thoughts: str, marks: Marks) -> str:
    """The thoughts without the name of their channel."""
    return thoughts.removeprefix(marks.label) if marks.label else thoughts


_ANY = re.compile(
    rf"<(?P<closes>/?)(?:{'|'.join(_WRITTEN)})>|"
    f"(?P<ends>{re.escape(FAMILIES['mistral'].closes)})|{re.escape(FAMILIES['mistral'].opens)}",
    re.IGNORECASE,
)


def without_thoughts(text: str) -> str:
    """The answer without what a model thought before it; of one that never stopped thinking nothing is left.

    Tags count too that a prompt may have asked for.

    >>> without_thoughts("<think>Answer: 5?</think>18"), without_thoughts("5?</think>18"), without_thoughts("<think>5")
    ('18', '18', '')
    """
    if FINAL in text:
        text = text.rpartition(FINAL)[2]
    marks = [Mark(one.start(), one.end(), bool(one["closes"] or one["ends"])) for one in _ANY.finditer(text)]
    said, _, _ = spans(marks, len(text))
    return "".join(text[start:end] for start, end in said)
