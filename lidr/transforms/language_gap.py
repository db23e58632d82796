"""The numbers behind the premise: how large the gap between languages is, and whether the pairs point the right way.

Every number comes with its interval and its n. A share has Wilson's interval, a mean Student's; where several are
looked at together, `family` makes each interval so much wider that all of them hold together (Bonferroni).

    >>> agreement(agree=70, disagree=30, ties=12).accuracy.value
    0.7
    >>> agreement(agree=52, disagree=48, ties=0).is_certain      # .52 [.42, .62] contains .5
    False
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from lidr.intervals import FEW, LEVEL, of_mean, student, wilson

CHANCE = 0.5


class Number(NamedTuple):
    """A number, its interval, and how many items it rests on; None where there is no item."""

    value: float | None
    low: float | None
    high: float | None
    n: int

    def as_json(self) -> dict[str, Any]:
        """As plain data."""
        return self._asdict()


NOTHING = Number(None, None, None, 0)


def family(tests: int, level: float = LEVEL) -> float:
    """The level of each of several intervals that shall hold together (Bonferroni).

    >>> family(1), round(family(5), 3)
    (0.95, 0.99)
    """
    return 1.0 - (1.0 - level) / max(1, tests)


def share(hits: int, n: int, level: float = LEVEL) -> Number:
    """A share of n, 0-1, with Wilson's interval."""
    return Number(hits / n, *wilson(hits / n, n, level), n) if n else NOTHING


def mean(values: Iterable[float | None], span: tuple[float, float], level: float = LEVEL, *, few: int = FEW) -> Number:
    """A mean with Student's interval; None is not scored and counts nowhere.

    Args:
        values: one for each item.
        span: smallest and largest value there can be.
        few: below so many items, one at either bound is added before the interval is made (`lidr.intervals.of_few`);
            0 where the bounds are far beyond any value.
    """
    known = [value for value in values if value is not None]
    if not known:
        return NOTHING
    centre, error = _mean_and_error(known)
    return Number(centre, *of_mean(centre, error, len(known), span, level, few=few), len(known))


def rise(values: Sequence[float], level: float = LEVEL) -> Number:
    """How much a series rises: the mean of its last third minus that of its first (Welch's interval, n the steps).

    >>> rise([1.0, 1.1, 0.9, 1.0, 1.0, 1.0, 2.0, 2.1, 1.9]).value
    1.0
    """
    third = len(values) // 3
    if third < 2:
        return NOTHING
    (first, error), (last, later) = _mean_and_error(values[:third]), _mean_and_error(values[-third:])
    half = student((1 + level) / 2, 2 * third - 2) * math.hypot(error, later)
    return Number(round(last - first, 9), last - first - half, last - first + half, len(values))


def _mean_and_error(values: Sequence[float]) -> tuple[float, float]:
    n = len(values)
    if min(values) == max(values):  # else rounding would make an error of 1e-17 of it, and an interval without width
        return float(values[0]), 0.0
    centre = math.fsum(values) / n
    variance = math.fsum((value - centre) ** 2 for value in values) / (n - 1) if n > 1 else 0.0
    return centre, math.sqrt(variance / n)


@dataclass(frozen=True)
class Agreement:
    """How often a referee says that chosen beats rejected.

    Args:
        ties: pairs that the referee cannot tell apart; they count nowhere else.
        accuracy: agree / (agree + disagree).
    """

    agree: int
    disagree: int
    ties: int
    accuracy: Number

    @property
    def is_certain(self) -> bool:
        """Whether the interval lies above chance; where nothing was decided, it does not."""
        return self.accuracy.low is not None and self.accuracy.low > CHANCE

    def as_json(self) -> dict[str, Any]:
        """As plain data."""
        return {**asdict(self), "accuracy": self.accuracy.as_json(), "is_certain": self.is_certain}


def agreement(agree: int, disagree: int, ties: int, level: float = LEVEL) -> Agreement:
    """Reward accuracy from its counts."""
    return Agreement(agree, disagree, ties, share(agree, agree + disagree, level))


def kept_share(accuracy: float | None) -> float:
    """The share of an uncertain group's pairs that is kept by weight: the excess of right pairs over wrong ones.

    A pair that is right with probability a pushes, on average, with 2a - 1 of its force.

    >>> round(kept_share(0.57), 2), kept_share(0.4), kept_share(None)
    (0.14, 0.0, 0.0)
    """
    return 0.0 if accuracy is None else max(0.0, 2.0 * accuracy - 1.0)


def by_lot(names: Iterable[str], count: int, seed: int) -> frozenset[str]:
    """Draw `count` of the names by hash: the same on every machine, whatever their order."""
    drawn = sorted(set(names), key=lambda name: hashlib.sha256(f"{seed}/{name}".encode()).digest())
    return frozenset(drawn[:count])


_ORDER, _BETA = 6, 2.0


def chrf(text: str, reference: str) -> float:
    """Character n-gram F-score of one text, 0-100 (Popovic 2015): n = 1 to 6, beta 2, white space left out.

    The same number as sacrebleu's sentence chrF, which a test compares with.

    >>> chrf("Bees make honey.", "Bees make honey."), chrf("Wax", "")
    (100.0, 0.0)
    """
    ours, theirs = ("".join(side.split()) for side in (text, reference))
    precision = recall = 0.0
    orders = 0
    for n in range(1, _ORDER + 1):
        a, b = _ngrams(ours, n), _ngrams(theirs, n)
        if not a or not b:
            continue
        same, orders = sum((a & b).values()), orders + 1
        precision, recall = precision + same / sum(a.values()), recall + same / sum(b.values())
    if precision + recall == 0:
        return 0.0
    precision, recall = precision / orders, recall / orders
    return 100.0 * (1 + _BETA**2) * precision * recall / (_BETA**2 * precision + recall)


def _ngrams(text: str, n: int) -> Counter[str]:
    return Counter(text[i : i + n] for i in range(len(text) - n + 1))
