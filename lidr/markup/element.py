"""HTML as values: text is escaped because it is text, not because somebody thought of it."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

_EMPTY = frozenset({"br", "hr", "img", "input", "meta", "link"})


class Html(str):
    """Text that is HTML already. Only this module, templates and the markdown renderer make it."""

    def __html__(self) -> str:
        """What a template writes as it is."""
        return self


Child = str | int | None | Iterable["Child"]


def h(tag: str, *children: Child, **attributes: str | bool | None) -> Html:
    """An element. A trailing underscore of an attribute is dropped, others become hyphens; None and False leave it out.

    >>> h("p", "1 < 2", h("b", "so"), class_="note")
    '<p class="note">1 &lt; 2<b>so</b></p>'
    >>> h("a", "x", href='"><script>')
    '<a href="&quot;&gt;&lt;script&gt;">x</a>'
    """
    parts = [tag]
    for name, value in attributes.items():
        name = name.rstrip("_").replace("_", "-")
        if value is True:
            parts.append(name)
        elif value is not None and value is not False:
            parts.append(f'{name}="{escape(value)}"')
    opening = Html(f"<{' '.join(parts)}>")
    return opening if tag in _EMPTY else Html(f"{opening}{join(children)}</{tag}>")


def join(children: Iterable[Child]) -> Html:
    """Several children as one."""
    return Html("".join(_render(child) for child in children))


def _render(child: Child) -> str:
    if child is None:
        return ""
    if isinstance(child, Html):
        return child
    if isinstance(child, str | int):
        return escape(str(child))
    return join(child)
