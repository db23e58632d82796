"""Whether a text is another one again, on columns."""

from __future__ import annotations

import polars as pl

from lidr.transforms.language_id import letters, prose


def is_copy(text: pl.Expr, source: pl.Expr) -> pl.Expr:
    """Whether a text is its source again, but for case, spaces and punctuation.

    Never where the source has no letters outside code and links: numbers and code stay as they are in translation.
    """
    return (folded(text) == folded(source)) & (letters(prose(source)) != "")


def may_be_copy(text: pl.Expr, source: pl.Expr) -> pl.Expr:
    """Whether the two begin alike, so that `is_copy` is worth asking: folding whole texts takes ten times as long."""
    begin, source_begin = folded(text.str.head(32)).str.head(8), folded(source.str.head(32)).str.head(8)
    return begin.str.starts_with(source_begin) | source_begin.str.starts_with(begin)


def folded(text: pl.Expr) -> pl.Expr:
    """The text as its letters, marks and digits alone, in lower case, in Unicode's decomposed compatibility form.

    >>> pl.select(folded(pl.lit("Ｈello, «мир»! 12"))).item()
    'helloмир12'
    """
    return text.str.normalize("NFKD").str.to_lowercase().str.replace_all(r"[^\p{L}\p{M}\p{N}]+", "")
