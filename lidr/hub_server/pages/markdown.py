"""A README as HTML. HTML in it is shown as text, links that could run something are none."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from markdown_it import MarkdownIt
from markdown_it.token import Token

from lidr.hub_server.budget import Budget
from lidr.hub_server.refusal import Refusal
from lidr.markup import Html, h

_ON_HUB = re.compile(r"https://huggingface\.co/(?P<name>(datasets/)?[\w.-]+/[\w.-]+)(/(tree|blob|commit)/[\w./-]+)?/?")

LONGEST = 256 * 1024
"""Characters of a README that are rendered."""
RENDER_S = 1.0
"""CPU time for it; a text of that length needs a fraction, and a text that is made to take long is shown as it is."""


def render(markdown: str, *, base: str, here: Mapping[str, str] | None = None) -> Html:
    """Render markdown; relative links lead into the repository, below `base`.

    Args:
        here: repositories of this Hub, `datasets/org/name` -> their page: a link to the same name on huggingface.co
            leads there.

    >>> render("a [b](c.png) <i>", base="/lidr/x/resolve/main")
    '<p>a <a href="/lidr/x/resolve/main/c.png">b</a> &lt;i&gt;</p>\\n'
    """
    text = without_comments(markdown)
    cut = h("p", f"Only the first {LONGEST:,} characters are shown.", class_="empty") if len(text) > LONGEST else Html()
    text = text[:LONGEST]
    parser = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
    _limit(parser, Budget(RENDER_S, "rendering this text"))
    try:
        tokens = parser.parse(text)
        _lead_into(tokens, base, here or {})
        shown = Html(parser.renderer.render(tokens, parser.options, {}))
    except (Refusal, RecursionError, ValueError):  # ValueError: an address that urllib cannot take apart
        shown = h("pre", h("code", text, class_="text"), dir="auto")
    return Html(shown + cut)


def without_comments(text: str) -> str:
    """A text without its HTML comments, in one pass; one that nobody closes stays.

    >>> without_comments("a<!-- b -->c<!-- d")
    'ac<!-- d'
    """
    kept, at = [], 0
    while (begin := text.find("<!--", at)) >= 0 and (end := text.find("-->", begin + 4)) >= 0:
        kept.append(text[at:begin])
        at = end + 3
    return "".join(kept) + text[at:]


def _limit(parser: MarkdownIt, budget: Budget) -> None:
    """Look at the clock at each place of the text, as the first rule of all."""

    def look(*_: Any) -> bool:
        budget.check()
        return False

    parser.block.ruler.before("table", "budget", look, {"alt": ["paragraph", "reference", "blockquote", "list"]})
    parser.inline.ruler.before("text", "budget", look)


def _lead_into(tokens: Sequence[Token], base: str, here: Mapping[str, str]) -> None:
    for token in tokens:
        if "right" in str(token.attrs.pop("style", "")):  # the policy forbids styles in the text; alignment is a class
            token.attrSet("class", "num")
        for name in ("href", "src"):
            target = token.attrGet(name)
            if isinstance(target, str) and not re.match(r"[a-zA-Z][a-zA-Z0-9+.-]*:|/|#", target):
                token.attrSet(name, f"{base}/{quote(target.removeprefix('./'), safe='/%?=&#')}")
            elif isinstance(target, str) and (there := _ON_HUB.fullmatch(target)) and there["name"] in here:
                token.attrSet(name, here[there["name"]])
        _lead_into(token.children or (), base, here)
