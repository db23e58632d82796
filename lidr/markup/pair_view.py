"""One preference pair, or a slot that was dropped, as an article of HTML."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from lidr.languages import LANGUAGES
from lidr.markup.differing_words import Part, word_differences
from lidr.markup.element import Child, Html, h
from lidr.rows import kind_said

PAIR_STYLE = Path(__file__).with_name("pairs.css").read_text(encoding="utf-8")
"""CSS of a pair, and the colours of a page in light and in dark."""


@dataclass(frozen=True)
class Shown:
    """What is shown of a pair. Of a dropped slot a side may be missing (None), and `reason` says why it is no pair.

    Args:
        id: of the pair or slot.
        language: of prompt, chosen and rejected.
        other_language: the other language of the slot.
        chosen_key, rejected_key: which candidate a side is: `PROMPT/de` an answer, `PROMPT/en->de` a translation.
        originals: language, name and text of what was translated, and of its prompt.
        figures: scores and margin as words.
        marks: more words about it, as its iteration.
    """

    id: str
    language: str
    other_language: str
    kind: str
    prompt: str
    chosen: str | None
    rejected: str | None
    chosen_key: str = ""
    rejected_key: str = ""
    originals: tuple[tuple[str, str, str], ...] = ()
    figures: tuple[str, ...] = ()
    marks: tuple[str, ...] = ()
    reason: str = ""
    detail: str = ""


def pair_article(shown: Shown, *, address: str | None = None, anchor: str | None = None, **data: str) -> Html:
    """The article.

    Args:
        address: of this pair alone.
        anchor: the article's id in its page.
        data: attributes `data-NAME`, for filters.
    """
    kind = kind_said(shown.kind, shown.language, shown.other_language)
    words = [language_name(shown.language)]
    words += [] if shown.other_language in ("", shown.language) else [f"with {language_name(shown.other_language)}"]
    words += [] if kind in ("", "-") else [_kind(kind)]
    chips = [h("span", word, class_="chip") for word in words]
    chips += [h("span", word, class_="chip") for word in (*shown.marks, *shown.figures)]
    if shown.reason:
        said = shown.reason.replace("_", " ") + (f": {shown.detail}" if shown.detail else "")
        chips.insert(0, h("span", "dropped · ", said, class_="chip bad"))
    name = h("a", shown.id, href=address, class_="id sha", title="this pair alone") if address else None
    head = h("div", *chips, name or h("span", shown.id, class_="id sha"), class_="meta")
    prompt = h("div", h("span", "Prompt", class_="label"), text_block(shown.prompt, shown.language), class_="prompt")
    sides = (
        word_differences(shown.chosen, shown.rejected)
        if shown.chosen is not None and shown.rejected is not None
        else (_plain(shown.chosen), _plain(shown.rejected))
    )
    answers = h(
        "div",
        _side("chosen", "✓ Chosen", shown.chosen_key, sides[0], shown),
        _side("rejected", "✗ Rejected", shown.rejected_key, sides[1], shown),
        class_="answers",
    )
    marked = {f"data_{key}": value for key, value in data.items()}
    return h("article", head, prompt, answers, *_originals(shown.originals), class_="pair box", id=anchor, **marked)


def _originals(originals: Iterable[tuple[str, str, str]]) -> Iterator[Html]:
    """What was translated, folded away by language."""
    by_language: dict[str, list[Html]] = {}
    for code, title, text in originals:
        block = h("div", h("span", title, class_="label"), text_block(text, code))
        by_language.setdefault(code, []).append(block)
    for code, blocks in by_language.items():
        summary = h("summary", f"Before translation, in {language_name(code)}")
        yield h("details", summary, h("div", blocks, class_="answers apart"), class_="original")


def _plain(text: str | None) -> tuple[Part, ...] | None:
    return None if text is None else (Part(text, False),)


def _side(name: str, title: str, key: str, parts: Iterable[Part] | None, shown: Shown) -> Html:
    label = h("span", title, h("span", f" · {_origin(key)}" if key else None), class_="label")
    if parts is None:
        return h("div", label, h("div", "There is no usable text.", class_="absent"), class_=f"answer {name}")
    marked = [h("mark", part.text) if part.differs else part.text for part in parts]
    return h("div", label, text_block(marked, shown.language), class_=f"answer {name}")


def _origin(key: str) -> str:
    """What a candidate's key says: `p1/en->de` is translated from English, `p1/de` the policy's own answer."""
    source, arrow, _ = key.rpartition("/")[2].partition("->")
    return f"translated from {language_name(source)}" if arrow else "its own answer"


def _kind(kind: str) -> str:
    return kind.replace("_", "-") + " pair" if kind in ("dominant", "non_dominant") else kind.replace("_", " ")


def language_name(code: str) -> str:
    """`German (de)`; the code alone where it is none that lidr knows."""
    known = LANGUAGES.get(code)
    return f"{known.name} ({code})" if known else code


def text_block(text: Child, language: str) -> Html:
    """A text in its own direction: `auto` looks at its first strong character."""
    return h("div", text or "(empty)", class_="text", dir="auto", lang=language or None)
