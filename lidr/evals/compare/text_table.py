"""A table of text, whoever prints it."""

from __future__ import annotations

from typing import NamedTuple


class TextTable(NamedTuple):
    """What is printed: a heading, aligned columns of which the first `left` are flush left, and remarks below."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    left: int = 1
    remarks: tuple[str, ...] = ()
