"""Texts as sets of hashed n-grams, the same on every machine and with every version of every library.

A token is what stands between spaces once the text is lower case and without punctuation; in scripts that are written
without spaces it is one character. The hash of an n-gram is that of its characters and of the spaces between its
tokens: a polynomial over the bytes, modulo 2^64, mixed.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import polars as pl

Hashes = np.ndarray[Any, np.dtype[np.uint64]]

_BASE = np.uint64(0x9E3779B97F4A7C15)  # odd, so that it has an inverse modulo 2^64
_INVERSE = np.uint64(pow(int(_BASE), -1, 1 << 64))
_SPACE = 32

# Scripts written without spaces between words: each character is a token.
UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
_APART = r"[\u0300-\u036f\u3099\u309a\u1100-\u11ff]"  # parts of letters that are also written as one letter
_MARKS = rf"[^\p{{L}}\p{{M}}\p{{N}}{UNSPACED}]+"


class Shingles(NamedTuple):
    """The n-grams of some texts: those of text i are hashes[offsets[i]:offsets[i + 1]], in their order."""

    hashes: Hashes
    offsets: np.ndarray[Any, np.dtype[np.int64]]


def mix(values: Hashes) -> Hashes:
    """Scatter numbers over 64 bits (splitmix64's finaliser)."""
    with np.errstate(over="ignore"):
        values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def normal(texts: pl.Series) -> pl.Series:
    """Lower case, words apart by one space, no punctuation; characters of unspaced scripts stand alone.

    >>> normal(pl.Series(["Two  apples, 3 pears!", "你好 World"])).to_list()
    ['two apples 3 pears', '你 好 world']
    """
    texts = texts.fill_null("")
    if (apart := texts.str.contains(_APART)).any():
        texts = texts.str.normalize("NFC").zip_with(apart, texts)
    words = texts.str.to_lowercase().str.replace_all("ß", "ss", literal=True).str.replace_all(_MARKS, " ")
    return words.str.replace_all(rf"([{UNSPACED}])", " $1 ").str.replace_all(" +", " ").str.strip_chars(" ")


def shingles(texts: pl.Series, n: int) -> Shingles:
    """The n-grams of each text; a text of fewer tokens is one n-gram whole, an empty one has none.

    Args:
        texts: normal texts.
        n: tokens in one.

    >>> found = shingles(normal(pl.Series(["a b c", "b c", ""])), 2)
    >>> found.offsets.tolist(), bool(found.hashes[1] == found.hashes[2])
    ([0, 2, 3, 3], True)
    """
    data = np.frombuffer("\n".join(texts.to_list()).encode() + b"\n", np.uint8)
    is_end = data == 10
    starts, ends = _tokens(data, is_end)
    text_of = np.cumsum(is_end)[starts] if len(starts) else np.zeros(0, np.int64)
    per_text = np.bincount(text_of, minlength=len(texts))
    first = np.concatenate([[0], np.cumsum(per_text)])
    counts = np.where(per_text == 0, 0, np.maximum(per_text - n + 1, 1))
    offsets = np.concatenate([[0], np.cumsum(counts)])
    which = np.repeat(np.arange(len(texts)), counts)
    begin = first[which] + np.arange(offsets[-1]) - offsets[which]
    last = np.minimum(begin + n, first[which + 1]) - 1
    return Shingles(_spans(data, starts[begin], ends[last]), offsets)


def _tokens(data: np.ndarray[Any, Any], is_end: np.ndarray[Any, Any]) -> tuple[Any, Any]:
    """Where each token begins, and the place after it."""
    is_gap = (data == _SPACE) | is_end
    is_start = ~is_gap
    is_start[1:] &= is_gap[:-1]
    is_last = ~is_gap
    is_last[:-1] &= is_gap[1:]
    return np.flatnonzero(is_start), np.flatnonzero(is_last) + 1


def _spans(data: np.ndarray[Any, Any], starts: Any, ends: Any) -> Hashes:
    """The hash of each stretch of bytes, wherever it stands."""
    powers, inverses = _powers(1 << (len(data)).bit_length())
    with np.errstate(over="ignore"):
        sums = np.concatenate([[np.uint64(0)], np.add.accumulate(data * powers[: len(data)])])
        return mix((sums[ends] - sums[starts]) * inverses[starts])


@lru_cache(maxsize=2)
def _powers(length: int) -> tuple[Hashes, Hashes]:
    """The powers of the base and of its inverse, from 0."""
    with np.errstate(over="ignore"):
        found = (np.full(length, number, np.uint64) for number in (_BASE, _INVERSE))
        one, other = (np.multiply.accumulate(np.concatenate([[np.uint64(1)], row[1:]])) for row in found)
    return one, other


def whole(texts: pl.Series) -> Hashes:
    """One hash for each text as it is, every byte of it.

    >>> found = whole(pl.Series(["a", "b", "a", ""]))
    >>> bool(found[0] == found[2]), len(set(found.tolist()))
    (True, 3)
    """
    filled = texts.fill_null("")
    data = np.frombuffer("".join(filled.to_list()).encode() + b"\n", np.uint8)
    ends = np.cumsum(filled.str.len_bytes().to_numpy().astype(np.int64))
    starts = np.concatenate([[0], ends[:-1]]).astype(np.int64)
    return _spans(data, starts, ends)
