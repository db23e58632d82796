r"""Which texts have nothing to see in them, and which two are the same text: one rule for prompts, answers and sets.

blank     nothing but white space, controls, and marks that no reader sees (Unicode's Default_Ignorable_Code_Point)
trimmed   without the white space and the zero-width marks around it; joiners stay, for they change the letter before
          them (Malayalam, Sinhala), and so do tags and variation selectors, which end an emoji
same      equal but for: space at the ends of the text and of its lines, the kind and the number of spaces between
          words, how lines end, zero-width marks anywhere, and the Unicode form (NFC). Indentation and blank lines
          count: in code and Markdown they mean something.

>>> pl.select(is_blank(pl.lit("\u200b \n")), trimmed(pl.lit("\ufeff Ciao.\n")).alias("t")).row(0)
(True, 'Ciao.')
>>> pl.select(same(pl.lit("10\xa0kg.\r\n"), pl.lit("10 kg."))).item()
True
"""

from __future__ import annotations

import re

import polars as pl

from lidr.tables.visible_text import CONTROLS, MARKS, SPACES, VISIBLE

_AROUND = "".join(re.findall(f"[{SPACES}{CONTROLS}{MARKS}]", "".join(map(chr, range(0x10000)))))
_SURE = "[A-Za-z0-9.!?]"
_UNSURE = r"[A-Za-z]\p{M}+|[^A-Za-z0-9бвдлмнпрстфхцчшщьъю\u0628-\u0646\u0c15-\u0c39\u0e01-\u0e2e\u4e00-\u9fff]+"
_ENDS = 24  # characters at either end of two texts by which most that differ are told apart


def is_blank(text: pl.Expr) -> pl.Expr:
    """Whether there is nothing to see in a text; of null, null."""
    return ~text.str.contains(VISIBLE)


def trimmed(text: pl.Expr) -> pl.Expr:
    """The text without the white space and the zero-width marks around it."""
    return text.str.strip_chars(_AROUND)


def bare(text: pl.Expr) -> pl.Expr:
    """What two texts that are the same have in common; for comparing, never for keeping."""
    lines = text.str.normalize("NFC").str.replace_all(r"\r\n?|[\x0b\x0c\x85\u2028\u2029]", "\n")
    seen = lines.str.replace_all(f"[{CONTROLS}{MARKS}]+", "")
    spaced = seen.str.replace_all(r"[\xa0\u1680\u2000-\u200a\u202f\u205f\u3000]", " ")
    return trimmed(spaced.str.replace_all(r"[ \t]+\n", "\n").str.replace_all(r"([^ \t\n])(?:[ \t]{2,}|\t)", "$1 "))


def same(one: pl.Expr, other: pl.Expr) -> pl.Expr:
    """Whether two texts are the same but for white space and marks that no reader sees; a null is the same as none."""
    both = pl.struct(one.alias("one"), other.alias("other"))
    return both.map_batches(_same, return_dtype=pl.Boolean)


def _same(both: pl.Series) -> pl.Series:
    """Look at the ends of all texts and at the whole of few: that takes some ten times as long."""
    texts = both.struct.unnest()
    found = pl.repeat(False, len(both), eager=True)
    places = pl.int_range(len(both), eager=True)
    tests = (_may_have_same_ends, _may_begin_alike, _may_end_alike, lambda one, other: bare(one) == bare(other))
    for test in tests:
        passed = texts[places].select(test(pl.col("one"), pl.col("other")).fill_null(False)).to_series()
        places = places.filter(passed)
    return found.scatter(places, True) if len(places) else found


def _may_have_same_ends(one: pl.Expr, other: pl.Expr) -> pl.Expr:
    """Whether neither the first characters nor the last are two letters or digits of ASCII: these do not turn into
    others in any Unicode form; with a mark behind them they are no longer the last, and in one character no ASCII."""
    differ = [
        (one.str.slice(place, 1) != other.str.slice(place, 1)) & one.str.contains(sure) & other.str.contains(sure)
        for place, sure in ((0, rf"\A{_SURE}"), (-1, rf"{_SURE}\z"))
    ]
    return one.is_not_null() & other.is_not_null() & ~(differ[0] | differ[1])


def _may_begin_alike(one: pl.Expr, other: pl.Expr) -> pl.Expr:
    """Whether both begin with the same letters."""
    left, right = (_letters(text.str.head(_ENDS)).str.head(-1) for text in (one, other))
    return left.str.starts_with(right) | right.str.starts_with(left)


def _may_end_alike(one: pl.Expr, other: pl.Expr) -> pl.Expr:
    """Whether both end with the same letters."""
    left, right = (_letters(text.str.tail(_ENDS)) for text in (one, other))
    return left.str.ends_with(right) | right.str.ends_with(left)


def _letters(text: pl.Expr) -> pl.Expr:
    """Letters and digits that are the same in every Unicode form; any others tell nothing here."""
    return text.str.replace_all(_UNSURE, "")
