"""Self-translation: what the policy is asked, how its answer is read, and how a failed one is tried again.

One response on its way (method: the paper's prompt, the assistant's turn begun for it):

    response        Bees make honey.
    user            Please translate the following sentences into Spanish. The input sentences are wrapped by ...
    assistant       <translated>⏎ | Las abejas hacen miel.⏎</translated>
                    the prefill   | raw, what the policy wrote

    >>> parse_translation("Las abejas hacen miel.\\n</translated>", "stop", "Bees make honey.")
    Parsed(text='Las abejas hacen miel.', status='ok')
    >>> parse_translation("Las abejas", "length", "Bees make honey.")
    Parsed(text='Las abejas', status='truncated')

The authors keep the match of `<translated>...</translated>` and drop the rest: 78 of their 1,000 en->fr rows, the long
ones most. Here every failure has a class, and the raw text is kept by the caller.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from lidr.rows import FinishReason, TranslationStatus
from lidr.transforms.against_source import untranslated, untranslated_all
from lidr.transforms.refusals import is_refusal

if TYPE_CHECKING:
    from lidr.engines import Message

TRANSLATION_PROMPT = (
    "Please translate the following sentences into {lang}. "
    "The input sentences are wrapped by <sentence> and </sentence>:\n\n"
    "<sentence>\n{text}\n</sentence>\n\n"
    "The translated result should be wrapped by <translated> and </translated>.\n"
)
"""The user's turn; ZNLP/Language-Imbalance-Driven-Rewarding at bd9764e, utils/trans_prompts.py."""

PREFILL = "<translated>\n"
"""How the assistant's turn begins; the same, utils/translate.py."""

_CLOSING = re.compile(r"<\s*/\s*translated\s*>", re.IGNORECASE)
_OPENING = re.compile(r"<\s*translated\s*>", re.IGNORECASE)
_TAG = re.compile(r"<\s*(?:/\s*)?(?:translated|sentence)\s*>", re.IGNORECASE)
_LAST_TAG = re.compile(r"<\s*/\s*[^<>\s]{1,20}\s*>\s*\Z")
_REST_OF_LINE = re.compile(r"[ \t\r]*(?:\n|\Z)")
_SURROGATE = re.compile("[\ud800-\udfff]")
_AT_ONCE = 512  # translations in a column


class Parsed(NamedTuple):
    """The text that was read, and whether it may be used: its status."""

    text: str
    status: TranslationStatus


class Unchecked(NamedTuple):
    """A translation that was read and not yet held against its source: `status` is what it is if nothing is wrong.

    `source` is None where its status is final.
    """

    text: str
    status: TranslationStatus
    source: str | None = None


@dataclass(frozen=True)
class Attempt:
    """How one try asks: `max_tokens` tokens, of each paragraph on its own or of the whole text, and decoded how."""

    max_tokens: int
    split: bool = False
    temperature: float = 0.0
    seed: int = 0


def translation_messages(text: str, target_language_name: str) -> tuple[Message, ...]:
    """The paper's request to translate `text` into a language, by its English name ("French")."""
    return ({"role": "user", "content": TRANSLATION_PROMPT.format(lang=target_language_name, text=text)},)


def parse_translation(
    raw: str,
    finish_reason: FinishReason,
    source_text: str | None,
    *,
    target: str | None = None,
    candidates: Sequence[str] = (),
) -> Parsed:
    """Read a translation from what the policy wrote after the prefill.

    The first closing tag ends the text, but for as many as the source has itself. Tags of the prompt that are left in
    it are taken out, unless the source has the same tag, and do not change the status: they say nothing about the words
    between them, and a chosen answer must not teach them. The text starts after a repeated opening tag when nothing, or
    one line that ends with a colon ("Here is the translation:"), stands before it; else what stands before is kept,
    because it may be the first part of the translation. Of a text that ended without the closing tag, a foreign closing
    tag at the end goes too (`</traducido>`): the policy translated the tag.

    Args:
        raw: what the policy wrote; half surrogates become U+FFFD, so that the text can be stored.
        finish_reason: `prompt_too_long` counts as truncated: a shorter piece may fit.
        source_text: what was to be translated; None or blank is failed_upstream.
        target: code of the language asked for; None leaves the language unchecked.
        candidates: the recipe's language codes, between which the language is identified.

    Returns:
        The text and the first status that fits, in the order failed_upstream, truncated, empty, refused, copied_source,
        wrong_language, then ok or unclosed_at_end.
    """
    return checked([_read(raw, finish_reason, source_text)], [target], candidates)[0]


def _read(raw: str, finish_reason: FinishReason, source_text: str | None) -> Unchecked:
    if source_text is None or not source_text.strip():
        return Unchecked("", "failed_upstream")
    raw, source = storable_text(raw), storable_text(source_text)
    closing = _end(raw, source)
    text = _inside(raw[: closing.start()] if closing else raw, source, is_closed=closing is not None)
    if closing is None and finish_reason != "stop":
        return Unchecked(text, "truncated")
    if not text:
        return Unchecked(text, "empty")
    if is_refusal(text) and not is_refusal(source):
        return Unchecked(text, "refused")
    return Unchecked(text, "ok" if closing else "unclosed_at_end", source)


def checked(read: Sequence[Unchecked], targets: Sequence[str | None], candidates: Sequence[str]) -> list[Parsed]:
    """Hold translations against their sources, all at once: one alone takes five times as long.

    Args:
        read: what was read.
        targets: of each, the code of the language asked for; None leaves the language unchecked.
        candidates: as in `parse_translation`.
    """
    rows = [(one.text, one.source, target) for one, target in zip(read, targets, strict=True) if one.source is not None]
    found: list[TranslationStatus | None] = []
    for start in range(0, len(rows), _AT_ONCE):
        found += untranslated_all(rows[start : start + _AT_ONCE], candidates)
    left = iter(found)
    parsed = []
    for one in read:
        wrong = None if one.source is None else next(left)
        parsed.append(Parsed(one.text, wrong or one.status))
    return parsed


def parse_paragraphs(
    answers: Sequence[tuple[str, FinishReason]],
    paragraphs: Sequence[str],
    *,
    target: str | None = None,
    candidates: Sequence[str] = (),
) -> Parsed:
    """Read a translation that was asked for paragraph by paragraph (`split_paragraphs`), and join it.

    A paragraph that is truncated, empty or refused fails the whole. Whether it is a copy, or in the wrong language, is
    asked of the whole alone: a heading ("HTML") or a name may stay as it is.

    Args:
        answers: (raw, finish reason) of each paragraph.
        paragraphs, target, candidates: as in `parse_translation`.

    >>> parse_paragraphs([("HTML</translated>", "stop"), ("Miel.</translated>", "stop")], ["HTML\\n\\n", "Honey."])
    Parsed(text='HTML\\n\\nMiel.', status='ok')
    """
    return checked([read_paragraphs(answers, paragraphs)], [target], candidates)[0]


def read_paragraphs(answers: Sequence[tuple[str, FinishReason]], paragraphs: Sequence[str]) -> Unchecked:
    """The same, not yet held against its source."""
    parts = [_read(raw, finish, paragraph) for (raw, finish), paragraph in zip(answers, paragraphs, strict=True)]
    text = join_paragraphs([part.text for part in parts], like=paragraphs).strip()
    for status in (part.status for part in parts):
        if status in ("truncated", "empty", "refused"):
            return Unchecked(text, status)
    is_open = any(part.status == "unclosed_at_end" and not _is_left(part, of=len(parts)) for part in parts)
    return Unchecked(text, "unclosed_at_end" if is_open else "ok", storable_text("".join(paragraphs)))


def _is_left(part: Unchecked, of: int) -> bool:
    """Whether one of several paragraphs was left as it is: that it was not closed says nothing then."""
    return of > 1 and part.source is not None and untranslated(part.text, part.source, None, ()) is not None


def storable_text(text: str) -> str:
    """The text with U+FFFD for each half of a surrogate pair, which UTF-8 cannot hold."""
    return _SURROGATE.sub("\ufffd", text)


def _end(raw: str, source: str) -> re.Match[str] | None:
    """The closing tag that ends the text: the first, but for those that the source has and the translation keeps.

    A tag on a line of its own is none of those inside a line, and the last thing written is the end in any case.
    """
    left = Counter(is_own for _, is_own in _closings(source))
    end_of_words = len(raw.rstrip())
    for tag, is_own in _closings(raw):
        if not left[is_own] or tag.end() >= end_of_words:
            return tag
        left[is_own] -= 1
    return None


def _closings(text: str) -> Iterator[tuple[re.Match[str], bool]]:
    """The closing tags, and of each whether it has a line of its own."""
    read = 0
    for tag in _CLOSING.finditer(text):
        _, newline, beside = text[read : tag.start()].rpartition("\n")
        begins = not beside.strip() and (bool(newline) or read == 0)
        yield tag, begins and _REST_OF_LINE.match(text, tag.end()) is not None
        read = tag.end()


def _inside(text: str, source: str, *, is_closed: bool) -> str:
    opening = _OPENING.search(text)
    if opening and _is_preface(text[: opening.start()].strip()):
        kept = min(_count(_OPENING, text), _count(_OPENING, source))  # the source may begin with one, too
        if _count(_OPENING, text) > kept or not kept:
            text = text[opening.end() :]
    in_source = {tag.lower() for tag in _TAG.findall(source)}
    text = _TAG.sub(lambda tag: tag[0] if tag[0].lower() in in_source else "", text).strip()
    last = None if is_closed else _LAST_TAG.search(text)
    return text[: last.start()].rstrip() if last and last[0].strip() not in source else text


def _count(pattern: re.Pattern[str], text: str) -> int:
    return sum(1 for _ in pattern.finditer(text))


def _is_preface(before: str) -> bool:
    return not before or ("\n" not in before and before.endswith((":", "：")))


def retry_plan(
    times: int,
    *,
    max_tokens: int,
    retry_max_tokens: int | None = None,
    paragraphs: int = 1,
    status: TranslationStatus = "truncated",
    temperature: float = 0.0,
    retry_temperature: float = 0.7,
    seed: int = 0,
) -> list[Attempt]:
    """The tries of one translation: the first as configured, then `times` more, no two alike.

    Args:
        times: how many retries.
        max_tokens, temperature, seed: of the first try.
        retry_max_tokens: of the retries; None doubles the first.
        paragraphs: how many the text has; several can be translated one by one.
        status: how the first try failed. More tokens alone help only a truncated one: a greedy policy would write any
            other answer again, word by word.
        retry_temperature: above 0; for the last retries, each with the next seed.

    >>> for attempt in retry_plan(3, max_tokens=80, paragraphs=4): print(attempt)
    Attempt(max_tokens=80, split=False, temperature=0.0, seed=0)
    Attempt(max_tokens=160, split=False, temperature=0.0, seed=0)
    Attempt(max_tokens=160, split=True, temperature=0.0, seed=0)
    Attempt(max_tokens=160, split=False, temperature=0.7, seed=1)
    """
    first = Attempt(max_tokens, temperature=temperature, seed=seed)
    more = replace(first, max_tokens=max(max_tokens, retry_max_tokens or 2 * max_tokens))
    retries = [more] if status == "truncated" and more != first else []
    retries += [replace(more, split=True)] if paragraphs > 1 else []
    retries += [replace(more, temperature=retry_temperature, seed=seed + number) for number in range(1, times + 1)]
    return [first, *retries[:times]]


def split_paragraphs(text: str) -> list[str]:
    """Cut a text after its blank lines, never inside fenced code; each piece keeps the blank lines around it.

    >>> split_paragraphs("Bees make honey.\\n\\nThey store it.\\n")
    ['Bees make honey.\\n\\n', 'They store it.\\n']
    """
    pieces: list[list[str]] = []
    after_blank, fenced = True, False
    for line in re.findall(r"[^\n]*\n|[^\n]+", text):
        has_words = bool(line.strip())
        if not pieces or (after_blank and has_words and not fenced and "".join(pieces[-1]).strip()):
            pieces.append([])
        pieces[-1].append(line)
        fenced ^= line.lstrip().startswith("```")
        after_blank = not has_words
    return ["".join(lines) for lines in pieces]


def join_paragraphs(paragraphs: Sequence[str], *, like: Sequence[str]) -> str:
    """Put paragraphs where those of `like` stood: each gets the blank space around its counterpart.

    >>> source = split_paragraphs("Bees make honey.\\n\\nThey store it.\\n")
    >>> join_paragraphs(["Las abejas hacen miel.", "La guardan."], like=source)
    'Las abejas hacen miel.\\n\\nLa guardan.\\n'
    """
    return "".join(_spaced(new, old) for new, old in zip(paragraphs, like, strict=True))


def _spaced(new: str, old: str) -> str:
    core = old.strip()
    before, after = old.split(core, 1) if core else (old, "")
    return before + new.strip() + after
