"""Texts of others on a terminal."""

from __future__ import annotations

import re

_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Not tab and newline, and not the joiners that scripts need."""


def printable(text: str) -> str:
    r"""A text of others for a terminal: what would move its cursor, recolour it or turn a line round is written out.

    >>> print(printable("\x1b[2J gone \u202e"))
    \x1b[2J gone \u202e
    """
    return _CONTROLS.sub(lambda match: match[0].encode("unicode_escape").decode(), text)
