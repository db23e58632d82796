"""Colour where a terminal reads, none elsewhere; NO_COLOR (https://no-color.org) turns it off."""

from __future__ import annotations

import os
import re
from typing import Any, Literal

Style = Literal["red", "yellow", "green", "bold", "dim"]
_CODES = {"red": "31;1", "yellow": "33", "green": "32", "bold": "1", "dim": "2"}

STATES: dict[str, Style] = {
    "cached": "green",
    "finished": "green",
    "taken over": "green",
    "drifted": "red",
    "damaged": "red",
    "unresolved": "yellow",
    "unknown server": "yellow",
    "begun by other rules": "yellow",
    "running": "bold",
    "skipped": "dim",
}
"""How the states of steps and runs are shown."""


def is_coloured(stream: Any) -> bool:
    """Whether what is written there may be coloured."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    try:
        return bool(stream.isatty())
    except (AttributeError, ValueError):
        return False


def coloured(text: str, style: Style | None, stream: Any) -> str:
    """The text in a style, or as it is."""
    return f"\x1b[{_CODES[style]}m{text}\x1b[0m" if style and text and is_coloured(stream) else text


def plain(text: str) -> str:
    """The text without our colours.

    >>> plain("\x1b[31;1mred\x1b[0m")
    'red'
    """
    return re.sub(r"\x1b\[[0-9;]*m", "", text)
