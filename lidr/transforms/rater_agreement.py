"""How far people who rate the same items agree, beyond what chance gives, with an interval over the items.

Krippendorff's alpha takes any number of raters and missing ratings; Cohen's kappa takes two raters who rated the same
items. 1 is agreement, 0 is chance, below 0 is worse than chance.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence

from lidr.intervals import FEW, LEVEL
from lidr.transforms.language_gap import Number

Ratings = Sequence[Sequence[Hashable]]
"""For each item its ratings, in any order; an item with fewer than two says nothing about agreement."""

RESAMPLES = 1_000


def different(a: Hashable, b: Hashable) -> float:
    """Distance of categories: 0 when equal, else 1."""
    return float(a != b)


def squared(a: Hashable, b: Hashable) -> float:
    """Distance of marks on a scale of equal steps."""
    return float((a - b) ** 2)  # type: ignore[operator]


def alpha(ratings: Ratings, distance: Callable[[Hashable, Hashable], float] = different) -> float | None:
    """Krippendorff's alpha (Krippendorff 2011, Computing Krippendorff's Alpha-Reliability).

    Returns:
        At most 1; None where no item has two ratings, or all ratings are the same.

    >>> round(alpha([["a", "a"], ["a", "b"], ["b", "b"], ["b", "b"]]), 3)
    0.533
    """
    shared = [item for item in ratings if len(item) > 1]
    values = Counter(value for item in shared for value in item)
    total = sum(values.values())
    expected = sum(
        values[a] * values[b] * distance(a, b) for a in values for b in values if a != b
    ) / max(1, total - 1)  # fmt: skip
    if not expected:
        return None
    observed = sum(sum(distance(a, b) for a in item for b in item) / (len(item) - 1) for item in shared)
    return 1.0 - observed / expected


def kappa(first: Mapping[str, Hashable], second: Mapping[str, Hashable]) -> float | None:
    """Cohen's kappa (Cohen 1960) of two raters, over the items that both rated.

    Returns:
        At most 1; None without an item, or where both always say the same one thing.

    >>> kappa({"1": "a", "2": "b", "3": "a"}, {"1": "a", "2": "b", "3": "b"})
    0.4
    """
    both = [(first[item], second[item]) for item in first if item in second]
    if not both:
        return None
    n = len(both)
    one, two = Counter(a for a, _ in both), Counter(b for _, b in both)
    chance = sum(one[value] * two[value] for value in one) / n**2
    agree = sum(a == b for a, b in both) / n
    return None if chance == 1 else round((agree - chance) / (1 - chance), 12)


def with_interval(ratings: Ratings, statistic: Callable[[Ratings], float | None], *, seed: int = 0) -> Number:
    """A statistic over items with its percentile bootstrap interval, items drawn with replacement.

    Below FEW items there is none: where raters nearly always say the same, few items may hold no other rating, and then
    neither draws nor left-out items show how far the statistic may be from the truth (docs/measured.md).

    Args:
        ratings: one entry for each item.
        statistic: of such a list; draws for which it is None are left out.
        seed: of the draws; the same seed gives the same interval.
    """
    value = statistic(ratings)
    if value is None:
        return Number(None, None, None, 0)
    if len(ratings) < FEW:
        return Number(value, None, None, len(ratings))
    rng = random.Random(seed)
    drawn = sorted(
        found for _ in range(RESAMPLES) if (found := statistic(rng.choices(ratings, k=len(ratings)))) is not None
    )
    tail = int((1 - LEVEL) / 2 * len(drawn))
    low, high = (drawn[tail], drawn[-tail - 1]) if drawn else (None, None)
    return Number(value, low, high, len(ratings))
