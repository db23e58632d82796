"""Pairs that are nearly the same: MinHash signatures, banded so that only likely ones are compared (Broder 1997).

    signature      for each of P hash functions the smallest value over a text's shingles: of two texts, each entry
                   agrees with a probability that is their Jaccard similarity
    bands          two texts are compared where one band of r entries agrees wholly: at similarity s a pair of texts is
                   found with probability 1 - (1 - s^r)^(P/r); r is the largest for which that is .99 at the threshold
    verdict        the share of agreeing entries is at least the threshold; its standard error at .8 is .035

A later pair goes where an earlier one that stays is nearly the same. Different slots of one prompt never count as the
same: they share a text by design.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from lidr.transforms.text_shingles import Hashes, Shingles, mix

PERMUTATIONS = 128
RECALL = 0.99
_CACHED = 1 << 15  # shingles at once: what stays in a core's cache
_WINDOW = 50  # of more texts that agree in a band, each is compared with the nearest so many, and with the first
_COMPARED = 1 << 14

Signatures = np.ndarray[Any, np.dtype[np.uint32]]


@dataclass(frozen=True)
class Bands:
    """How signatures are cut: `count` bands of `rows` entries."""

    count: int
    rows: int


def bands_for(threshold: float, permutations: int = PERMUTATIONS) -> Bands:
    """The bands that find pairs at the threshold with probability RECALL, and as few others as may be.

    >>> bands_for(0.8)
    Bands(count=21, rows=6)
    """
    found = Bands(permutations, 1)
    for rows in range(1, permutations + 1):
        if 1 - (1 - threshold**rows) ** (permutations // rows) >= RECALL:
            found = Bands(permutations // rows, rows)
    return found


def signatures(found: Shingles, permutations: int = PERMUTATIONS) -> Signatures:
    """The signature of each text, one row each; that of a text without shingles holds the largest value only."""
    texts = len(found.offsets) - 1
    result = np.full((texts, permutations), np.iinfo(np.uint32).max, np.uint32)
    factors = mix(np.arange(1, permutations + 1, dtype=np.uint64)) | np.uint64(1)
    terms = mix(np.arange(permutations + 1, 2 * permutations + 1, dtype=np.uint64))
    for first, last in _stretches(found.offsets):
        begin, end = found.offsets[first], found.offsets[last]
        starts = found.offsets[first:last] - begin
        is_filled = np.diff(found.offsets[first : last + 1]) > 0
        if end == begin:
            continue
        values, rows = found.hashes[begin:end], np.flatnonzero(is_filled) + first
        place = np.empty_like(values)
        for column in range(permutations):
            np.multiply(values, factors[column], out=place)
            np.add(place, terms[column], out=place)
            high = (place >> np.uint64(32)).astype(np.uint32)
            result[rows, column] = np.minimum.reduceat(high, starts[is_filled])
    return result


def _stretches(offsets: Any) -> Iterator[tuple[int, int]]:
    """Runs of texts with about _CACHED shingles together."""
    first, texts = 0, len(offsets) - 1
    while first < texts:
        last = max(first + 1, int(np.searchsorted(offsets, offsets[first] + _CACHED, side="right")) - 1)
        yield first, min(last, texts)
        first = min(last, texts)


def near_duplicates(
    signed: Signatures, *, groups: Hashes, prompts: Hashes, slots: Hashes, threshold: float
) -> np.ndarray[Any, np.dtype[np.int64]]:
    """For each pair the row of the earlier pair that it nearly repeats, which itself stays; -1 where it stays.

    Args:
        signed: signatures, in the order of the pairs; may be mapped from a file.
        groups: only pairs of the same group are compared: their language.
        prompts, slots: pairs of one prompt are compared only within one slot.
        threshold: smallest Jaccard similarity, 0-1.
    """
    repeats = np.full(len(signed), -1, np.int64)
    edges = _alike(signed, _candidates(signed, groups, bands_for(threshold, signed.shape[1])), threshold)
    exempt = (prompts[edges[:, 0]] == prompts[edges[:, 1]]) & (slots[edges[:, 0]] != slots[edges[:, 1]])
    edges = edges[~exempt]
    for earlier, later in edges[np.lexsort((edges[:, 0], edges[:, 1]))].tolist():
        if repeats[later] < 0 and repeats[earlier] < 0:
            repeats[later] = earlier
    return repeats


def _candidates(signed: Signatures, groups: Hashes, bands: Bands) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Pairs of rows (earlier, later) that agree in a band."""
    edges = [np.zeros((0, 2), np.int64)]
    for band in range(bands.count):
        key = groups.copy()
        for column in range(band * bands.rows, (band + 1) * bands.rows):
            key = mix(key ^ signed[:, column].astype(np.uint64))
        order = np.argsort(key, kind="stable")
        ordered = key[order]
        for ahead in range(1, _WINDOW):
            at = np.flatnonzero(ordered[ahead:] == ordered[:-ahead])
            if not len(at):
                break
            edges.append(np.stack([order[at], order[at + ahead]], axis=1))
        else:
            starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
            first = np.repeat(starts, np.diff(np.append(starts, len(ordered))))
            far = np.flatnonzero(np.arange(len(ordered)) - first >= _WINDOW)
            edges.append(np.stack([order[first[far]], order[far]], axis=1))
        if sum(map(len, edges)) > 1 << 22:
            edges = [np.unique(np.concatenate(edges), axis=0)]
    return np.unique(np.concatenate(edges), axis=0)


def _alike(signed: Signatures, edges: Any, threshold: float) -> np.ndarray[Any, np.dtype[np.int64]]:
    """The candidates whose signatures agree in a large enough share."""
    kept = [np.zeros((0, 2), np.int64)]
    for start in range(0, len(edges), _COMPARED):
        part = edges[start : start + _COMPARED]
        share = np.mean(signed[part[:, 0]] == signed[part[:, 1]], axis=1)
        kept.append(part[share >= threshold])
    return np.concatenate(kept)


def similarity(signed: Signatures, one: int, other: int) -> float:
    """The estimated Jaccard similarity of two rows."""
    return float(np.mean(signed[one] == signed[other]))
