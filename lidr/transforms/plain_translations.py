"""Translations that come as plain text: of a translation model, which knows no prompt and no tags, or of a file.

A translation model is trained on sentences and folds line breaks, so it is asked line by line; what holds no words (a
blank line, a rule, a number) and fenced code is not asked and stays as it is.

    >>> split_lines("Bees make honey.\\n\\n1. Wax\\n---\\n")
    ['Bees make honey.\\n\\n', '1. Wax\\n', '---\\n']
    >>> read_untagged([("Du miel.", "stop"), ("1. Cire", "stop")], "Honey.\\n\\n1. Wax\\n---")
    Parsed(text='Du miel.\\n\\n1. Cire\\n---', status='ok')
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from lidr.rows import FinishReason
from lidr.transforms.translations import Parsed, Unchecked, checked, join_paragraphs, storable_text

_WORD = re.compile(r"[^\W\d_]")
_FENCE = "```"


def split_lines(text: str) -> list[str]:
    """Cut a text after each line that holds something; blank lines stay with the line before; a fence is one piece."""
    pieces: list[list[str]] = []
    fenced = holds = False  # holds: whether the piece before has more than white space
    for line in re.findall(r"[^\n]*\n|[^\n]+", text):
        is_fence, is_blank = line.lstrip().startswith(_FENCE), not line.strip()
        if pieces and (fenced or is_blank or not holds):
            pieces[-1].append(line)
        else:
            pieces.append([line])
            holds = False
        holds |= not is_blank
        fenced ^= is_fence
    return ["".join(lines) for lines in pieces]


def has_words(piece: str) -> bool:
    """Whether a piece is to be translated: it has a letter and is no fenced code."""
    return _WORD.search(piece) is not None and not piece.lstrip().startswith(_FENCE)


def read_untagged(
    answers: Sequence[tuple[str, FinishReason]],
    source_text: str | None,
    *,
    target: str | None = None,
    candidates: Sequence[str] = (),
) -> Parsed:
    """Read a translation made line by line, each line's answer being the translation and nothing else.

    The rule differs from that of a chat model (`parse_translation`): without tags none can be missing, so a text that
    ended by itself is `ok` and never `unclosed_at_end`; and nobody is there who could refuse.

    Args:
        answers: (text, finish reason) of each piece of `split_lines` that `has_words`, in order.
        source_text: what was to be translated; None or blank is failed_upstream.
        target: code of the language asked for; None leaves the language unchecked.
        candidates: the recipe's language codes, between which the language is identified.

    Returns:
        The joined text and the first status that fits: failed_upstream; truncated, where a line was cut or did not fit
        into the model; empty, where a line came back without a character; copied_source and wrong_language, asked of
        the whole; else ok.
    """
    return checked([read_lines(answers, source_text)], [target], candidates)[0]


def read_lines(answers: Sequence[tuple[str, FinishReason]], source_text: str | None) -> Unchecked:
    """The same, not yet held against its source."""
    if source_text is None or not source_text.strip():
        return Unchecked("", "failed_upstream")
    source = storable_text(source_text)
    pieces = split_lines(source)
    said = iter(answers)
    parts: list[str] = []
    cut = blank = False
    for piece in pieces:
        text, finish = next(said) if has_words(piece) else (piece, "stop")
        cut, blank = cut or finish != "stop", blank or not text.strip()
        parts.append(storable_text(text))
    text = join_paragraphs(parts, like=pieces).strip()
    if cut:
        return Unchecked(text, "truncated")
    return Unchecked(text, "empty") if blank else Unchecked(text, "ok", source)


def read_whole(
    text: str, source_text: str | None, *, target: str | None = None, candidates: Sequence[str] = ()
) -> Parsed:
    """Read a translation that somebody else made of the whole text; the statuses are those of `read_untagged`.

    >>> read_whole("Les abeilles font du miel.", "Bees make honey.")
    Parsed(text='Les abeilles font du miel.', status='ok')
    """
    return checked([read_given(text, source_text)], [target], candidates)[0]


def read_given(text: str, source_text: str | None) -> Unchecked:
    """The same, not yet held against its source."""
    if source_text is None or not source_text.strip():
        return Unchecked("", "failed_upstream")
    stripped = storable_text(text).strip()
    return Unchecked(stripped, "ok", storable_text(source_text)) if stripped else Unchecked("", "empty")
