"""Numbers that say how far a judge can be trusted, each with its interval and n. Pure: no judge is asked here.

One item was asked three times: as given, in the other order, and as given once more.

    order_agreement   share with the same outcome (win, tie, loss) in both orders
    order_gap         mean |difference| of the win probability between the orders
    first_shown       mean win probability of what is shown first; 0.5 for a judge without position bias
    self_agreement    share with the same outcome when asked again
    self_gap          mean |difference| when asked again
    win               mean win probability of output_2, over both orders
    length_slope      change of win for one standard deviation more length (output_2 - output_1, characters); longer
                      answers may be better ones, so it bounds a bias and does not prove one

Between two languages, over the items that both have: share with the same outcome, what chance alone would give, and
Spearman's correlation of the preferences.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from lidr.evals.judge.verdicts import TIE
from lidr.evals.statistics import UNDEFINED, Array, Estimate, drawn_counts, interval, resampled_means

RESAMPLES = 2000
SEED = 0
_LEAST = 3  # items for a slope or a correlation

SPANS: Mapping[str, tuple[float, float]] = {
    "order_agreement": (0.0, 1.0),
    "order_gap": (0.0, 1.0),
    "first_shown": (0.0, 1.0),
    "self_agreement": (0.0, 1.0),
    "self_gap": (0.0, 1.0),
    "win": (0.0, 1.0),
}


@dataclass(frozen=True)
class Asked:
    """What a judge said of one item: preferences 1 to 2, None where it failed, and the lengths in characters."""

    item: str
    given: float | None
    turned: float | None
    again: float | None
    length_1: int
    length_2: int

    @property
    def mean(self) -> float | None:
        """Mean of both orders; None unless both were judged."""
        return None if self.given is None or self.turned is None else (self.given + self.turned) / 2


@dataclass(frozen=True)
class Across:
    """Two languages on the items that both have."""

    a: str
    b: str
    agreement: Estimate
    by_chance: float | None
    correlation: Estimate

    def as_json(self) -> dict[str, Any]:
        """As plain data."""
        estimates = {"agreement": self.agreement.as_json(), "correlation": self.correlation.as_json()}
        return {**asdict(self), **estimates}


def of_language(asked: Sequence[Asked]) -> dict[str, Estimate]:
    """All numbers of one language, by the names of this module."""
    columns = [_columns(one) for one in asked]
    values = np.array([[row[name] for name in SPANS] for row in columns], dtype=np.float64)
    found = dict(zip(SPANS, _means(values, list(SPANS.values())), strict=True))
    return {**found, "length_slope": _length_slope(asked)}


def across(judged: Mapping[str, Sequence[Asked]]) -> list[Across]:
    """Every two languages, in the given order."""
    codes = list(judged)
    return [_across(a, judged[a], b, judged[b]) for at, a in enumerate(codes) for b in codes[at + 1 :]]


def outcome(preference: float) -> int:
    """-1 lost, 0 tie, 1 won."""
    return (preference > TIE) - (preference < TIE)


def _columns(one: Asked) -> dict[str, float]:
    orders, again = (one.given, one.turned), (one.given, one.again)
    first = math.nan
    if one.given is not None and one.turned is not None:
        first = ((2.0 - one.given) + (one.turned - 1.0)) / 2  # given shows output_1 first, turned output_2
    return {
        "order_agreement": _same(*orders),
        "order_gap": _gap(*orders),
        "first_shown": first,
        "self_agreement": _same(*again),
        "self_gap": _gap(*again),
        "win": math.nan if one.mean is None else one.mean - 1.0,
    }


def _same(a: float | None, b: float | None) -> float:
    return math.nan if a is None or b is None else float(outcome(a) == outcome(b))


def _gap(a: float | None, b: float | None) -> float:
    return math.nan if a is None or b is None else abs(a - b)


def _means(values: Array, spans: Sequence[tuple[float, float]]) -> list[Estimate]:
    """Mean of each column of (items, columns); NaN counts nowhere."""
    if not len(values):
        return [UNDEFINED] * len(spans)
    draws = resampled_means(values, resamples=RESAMPLES, seed=SEED)
    return [_mean(values[:, at], draws[:, at], span) for at, span in enumerate(spans)]


def _mean(column: Array, draws: Array, span: tuple[float, float]) -> Estimate:
    known = column[~np.isnan(column)]
    n = len(known)
    if not n:
        return UNDEFINED
    value = float(known.mean())
    stderr = float(known.std(ddof=1) / math.sqrt(n)) if n > 1 else None
    low, high = interval(value, draws[np.isfinite(draws)], n, span)
    return Estimate(value, stderr, low, high, n)


def _length_slope(asked: Sequence[Asked]) -> Estimate:
    known = [(float(one.length_2 - one.length_1), one.mean - 1.0) for one in asked if one.mean is not None]
    if len(known) < _LEAST:
        return UNDEFINED
    x, y = np.array(known).T
    spread = x.std(ddof=1)
    return UNDEFINED if spread == 0 else _line(x / spread, y, is_slope=True)


def _line(x: Array, y: Array, *, is_slope: bool) -> Estimate:
    """Slope of y on x, or their correlation, with the interval of a bootstrap over items; both (items,)."""
    moments = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=1)  # (items, 6)
    sums = drawn_counts(np.random.default_rng(SEED), RESAMPLES, len(x)) @ moments
    value = float(_of_moments(moments.sum(0), is_slope))
    draws = _of_moments(sums.T, is_slope)
    draws = draws[np.isfinite(draws)]
    if not math.isfinite(value) or not len(draws):
        return UNDEFINED
    low, high = interval(value, draws, len(x), None if is_slope else (-1.0, 1.0))
    return Estimate(value, float(draws.std(ddof=1)), low, high, len(x))


def _of_moments(sums: Array, is_slope: bool) -> Array:
    n, x, y, xx, xy, yy = sums
    with np.errstate(divide="ignore", invalid="ignore"):
        variance_x, variance_y = xx / n - (x / n) ** 2, yy / n - (y / n) ** 2
        covariance = xy / n - (x / n) * (y / n)
        tiny = 1e-12
        under = variance_x if is_slope else np.sqrt(np.maximum(variance_x * variance_y, 0.0))
        quotient: Array = np.where(under > tiny, covariance / under, np.nan)
    return quotient


def _across(a: str, mine: Sequence[Asked], b: str, others: Sequence[Asked]) -> Across:
    left = {one.item: one.mean for one in mine if one.mean is not None}
    right = {one.item: one.mean for one in others if one.mean is not None}
    items = [item for item in left if item in right]
    if not items:
        return Across(a, b, UNDEFINED, None, UNDEFINED)
    pairs = [(outcome(left[item]), outcome(right[item])) for item in items]
    same = np.array([[float(x == y)] for x, y in pairs])
    (agreement,) = _means(same, [(0.0, 1.0)])
    counts = [Counter(column) for column in zip(*pairs, strict=True)]
    by_chance = sum(counts[0][value] * counts[1][value] for value in (-1, 0, 1)) / len(items) ** 2
    ranks = [_ranks([side[item] for item in items]) for side in (left, right)]
    correlation = _line(*ranks, is_slope=False) if len(items) >= _LEAST else UNDEFINED
    return Across(a, b, agreement, by_chance, correlation)


def _ranks(values: Sequence[float]) -> Array:
    """Ranks divided by their number, equal values sharing their mean rank."""
    _, inverse, counts = np.unique(np.array(values), return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    shared: Array = (last - (counts - 1) / 2)[inverse] / len(values)
    return shared
