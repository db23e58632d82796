"""Intervals of a single number, from nothing but its value, its error and its n.

>>> low, high = wilson(0.6, 250)
>>> round(low, 3), round(high, 3)
(0.538, 0.659)
"""

from __future__ import annotations

import math
from statistics import NormalDist

LEVEL = 0.95


def wilson(share: float, n: int, level: float = LEVEL) -> tuple[float, float]:
    """Wilson's score interval of a proportion (Wilson 1927): right also at 0 and 1, where the usual error is 0.

    Args:
        share: 0-1.
        n: trials, at least 1.
        level: coverage, 0-1.
    """
    z = quantile(level)
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(0.0, centre - half), min(1.0, centre + half)


def of_mean(
    value: float, stderr: float | None, n: int, span: tuple[float, float], level: float = LEVEL
) -> tuple[float, float]:
    """Student's interval of a mean, inside what is possible; where no value differed, the reach of what was not seen.

    Args:
        stderr: standard error; None or 0 where all values are the same.
        n: values, at least 1.
        span: smallest and largest value there can be.
    """
    if not stderr or n < 2:
        reach = unseen(n, level)
        return value - (value - span[0]) * reach, value + (span[1] - value) * reach
    half = student((1 + level) / 2, n - 1) * stderr
    return max(span[0], value - half), min(span[1], value + half)


def unseen(n: int, level: float = LEVEL) -> float:
    """Largest share of a population that n draws may have missed altogether (Clopper & Pearson for 0 of n).

    >>> round(unseen(4), 3), round(unseen(250), 4)
    (0.602, 0.0146)
    """
    return float(1.0 - ((1.0 - level) / 2) ** (1.0 / n))


def quantile(level: float = LEVEL) -> float:
    """How many standard errors a two-sided normal interval reaches: 1.96 at 95%."""
    return NormalDist().inv_cdf((1 + level) / 2)


def student(probability: float, freedom: int) -> float:
    """Quantile of Student's t: exact for 1 and 2 degrees of freedom, else Abramowitz & Stegun 26.7.5 (to 0.003)."""
    if freedom == 1:
        return math.tan(math.pi * (probability - 0.5))
    if freedom == 2:
        a = 2.0 * probability - 1.0
        return a * math.sqrt(2.0 / (1.0 - a * a))
    z = NormalDist().inv_cdf(probability)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + math.fsum(term / float(freedom) ** (i + 1) for i, term in enumerate(terms))
