"""Paths that others wrote: names of files below a folder of ours, and nothing else.

A name that looks harmless may be read otherwise by the next one who reads it, so each form of it is looked at: as it
is, with its percent signs decoded, and with look-alikes of dots and slashes made plain.

>>> why_unconfined("data/de.jsonl")
>>> why_unconfined("a/../../x")
'it leads out of its folder'
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

_LONGEST = 1000
_LONGEST_PART = 255  # bytes; what file systems take
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069]")
_DRIVE = re.compile(r"[A-Za-z]:")


def why_unconfined(text: str) -> str | None:
    """What is wrong with a name of a file or folder below another folder; None when nothing is."""
    if not text or len(text) > _LONGEST:
        return f"a name has 1 to {_LONGEST} characters"
    for form in _forms(text):
        if _CONTROLS.search(form):
            return "it holds characters that no name has"
        if form.startswith(("/", "~")) or "\\" in form or _DRIVE.match(form):
            return "it must be relative, with / between folders"
        parts = form.split("/")
        if any(part.strip(" .") == "" for part in parts):
            return "it leads out of its folder" if any(part.strip() == ".." for part in parts) else "a part is empty"
        if any(len(part.encode()) > _LONGEST_PART for part in parts):
            return f"a part is longer than {_LONGEST_PART} bytes"
    return None


def below(folder: Path, text: str) -> Path:
    """The path below a folder, also when links on the way are followed.

    Raises:
        ValueError: it leads elsewhere; the message says why.
    """
    if why := why_unconfined(text):
        raise ValueError(f"{text[:200]!r}: {why}")
    path = folder / text
    try:
        is_inside = path.resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError) as error:  # links in a circle
        raise ValueError(f"{text[:200]!r}: cannot be followed ({error})") from None
    if not is_inside:
        raise ValueError(f"{text[:200]!r}: a link on the way leads out of its folder")
    return path


def _forms(text: str) -> Iterator[str]:
    """A name as it is, and as the next reader may take it."""
    yield text
    for _ in range(3):
        decoded = unquote(text)
        if decoded == text:
            break
        yield (text := decoded)
    plain = unicodedata.normalize("NFKC", text).translate(_LOOK_ALIKES)
    if plain != text:
        yield plain


_LOOK_ALIKES = str.maketrans({"\u2044": "/", "\u2215": "/", "\u29f8": "/", "\u2216": "\\", "\u29f5": "\\"})
