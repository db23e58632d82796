"""Intervals of a single number, from nothing but its value, its error and its n.

>>> low, high = wilson(0.6, 250)
>>> round(low, 3), round(high, 3)
(0.538, 0.659)
"""

from __future__ import annotations

import math
from statistics import NormalDist

LEVEL = 0.95
FEW = 50
"""Below so many items the usual intervals hold the truth less often than they say (docs/measured.md), and `of_few` is
used."""


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
    value: float,
    stderr: float | None,
    n: int,
    span: tuple[float, float],
    level: float = LEVEL,
    *,
    few: int = FEW,
) -> tuple[float, float]:
    """Student's interval of a mean, inside what is possible; where no value differed, the reach of what was not seen.

    Args:
        stderr: standard error; None or 0 where all values are the same.
        n: values, at least 1; below `few` it is the interval of `of_few`.
        span: smallest and largest value there can be.
        few: 0 gives the intervals that earlier versions of lidr gave.
    """
    if n < few:
        return of_few(value, stderr, n, span, level)
    if not stderr or n < 2:
        reach = unseen(n, level)
        return value - (value - span[0]) * reach, value + (span[1] - value) * reach
    half = student((1 + level) / 2, n - 1) * stderr
    return max(span[0], value - half), min(span[1], value + half)


def of_few(
    value: float, stderr: float | None, n: int, span: tuple[float, float], level: float = LEVEL
) -> tuple[float, float]:
    """Interval of a mean of few values between two bounds: Student's, after one more value at either bound.

    Few values may all lie in one place and say nothing of what else there is; the two that are added say it. For a
    share it is akin to the interval of Agresti & Coull (1998), for a difference of paired shares to that of Bonett &
    Price (2012), with Student's quantile in the place of the normal one. Where all values are the same, it is never
    narrower than the reach of what was not seen.

    Args:
        stderr: standard error of the mean (n - 1 in the variance), or of any statistic that is one of n items'
            influences; None or 0 where all values are the same.
        n: values, at least 1.
        span: smallest and largest value there can be.

    >>> low, high = of_few(0.4, 0.16, 10, (0.0, 1.0))
    >>> round(low, 2), round(high, 2)
    (0.09, 0.74)
    """
    centre = (n * value + span[0] + span[1]) / (n + 2)
    squares = n * (n - 1) * (stderr or 0.0) ** 2 + n * (value - centre) ** 2
    squares += (span[0] - centre) ** 2 + (span[1] - centre) ** 2
    half = student((1 + level) / 2, n + 1) * math.sqrt(squares / (n + 1) / (n + 2))
    low, high = max(span[0], centre - half), min(span[1], centre + half)
    if not stderr:
        reach = unseen(n, level)
        low, high = min(low, value - (value - span[0]) * reach), max(high, value + (span[1] - value) * reach)
    return min(low, value), max(high, value)


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
