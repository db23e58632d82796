"""Characters that a reader sees, and those that none does; no polars is loaded for it."""

from __future__ import annotations

import re

# Written out, because Python's `re` has no \p{...} and Rust's has: both read these.
SPACES = r"\x09-\x0d\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
CONTROLS = r"\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f"
MARKS = r"\xad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
_IGNORED = (
    r"\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u200c\u200d\u2800\u3164\ufe00-\ufe0f\uffa0\ufff0-\ufff8"
    r"\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
VISIBLE = f"[^{SPACES}{CONTROLS}{MARKS}{_IGNORED}]"
"""A pattern of one character that a reader sees."""

_VISIBLE = re.compile(VISIBLE)


def is_visible(text: str) -> bool:
    """Whether there is anything to see in a text."""
    return _VISIBLE.search(text) is not None
