"""A README as HTML. HTML in it is shown as text, links that could run something are none."""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import quote

from markdown_it import MarkdownIt
from markdown_it.token import Token

from lidr.hub_server.pages.element import Html


def render(markdown: str, *, base: str) -> Html:
    """Render markdown; relative links lead into the repository, below `base`.

    >>> render("a [b](c.png) <i>", base="/lidr/x/resolve/main")
    '<p>a <a href="/lidr/x/resolve/main/c.png">b</a> &lt;i&gt;</p>\\n'
    """
    parser = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
    tokens = parser.parse(re.sub(r"<!--.*?-->", "", markdown, flags=re.DOTALL))
    _lead_into(tokens, base)
    return Html(parser.renderer.render(tokens, parser.options, {}))


def _lead_into(tokens: Sequence[Token], base: str) -> None:
    for token in tokens:
        if "right" in str(token.attrs.pop("style", "")):  # the policy forbids styles in the text; alignment is a class
            token.attrSet("class", "num")
        for name in ("href", "src"):
            target = token.attrGet(name)
            if isinstance(target, str) and not re.match(r"[a-zA-Z][a-zA-Z0-9+.-]*:|/|#", target):
                token.attrSet(name, f"{base}/{quote(target.removeprefix('./'), safe='/%?=&#')}")
        _lead_into(token.children or (), base)
