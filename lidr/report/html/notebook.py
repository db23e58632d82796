"""A run in a notebook's cell: its state, its headline with the picture, and a few pairs."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from lidr.markup import PAIR_STYLE, Html, h, pair_article
from lidr.report.html.headline import headline, headline_picture
from lidr.report.html.html_page import lead, state_sentences
from lidr.report.html.pair_rows import shown_rows
from lidr.secrecy import clean_data

if TYPE_CHECKING:
    from lidr.report.run_state import RunState

_STYLE = ".lidr { background: var(--paper); color: var(--ink); padding: 12px; } .lidr svg { max-width: 460px; }"
_MOST = 3


def notebook_page(run: RunState) -> str:
    """HTML for a cell, in a frame of its own, so that its style and the notebook's do not meet."""
    found = headline(run)
    said = []
    if found is not None:
        closed = f" ({found.share} of the gap closed)" if found.share else ""
        said = [h("p", h("b", f"{found.title}, {found.unit}{closed}")), Html(headline_picture(found))]
    pairs = [pair_article(shown) for shown, _ in shown_rows(run)[:_MOST]]
    body = h(
        "body",
        h("style", Html(PAIR_STYLE + _STYLE + "body { margin: 0; font: 15px/1.5 system-ui, sans-serif; }")),
        h("h3", f"{run.recipe.name} {run.recipe.version}"),
        h("p", lead(run)),
        [h("p", sentence) for sentence in state_sentences(run)],
        said,
        pairs,
        class_="lidr",
    )
    height = 170 + (320 if found else 0) + 260 * len(pairs)
    source = escape(clean_data(f"<!doctype html>{body}"))
    return f'<iframe sandbox srcdoc="{source}" style="width:100%;height:{height}px;border:0"></iframe>'


def as_note(text: str) -> str:
    """A text as it is, for a cell."""
    return h("pre", text)
