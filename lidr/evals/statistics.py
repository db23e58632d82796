"""Statistics of parallel items: one item is the same question in every language, asked of every model.

Values of one item belong together: a hard question is hard in all languages and for all models. So whole items are
resampled, all their languages and models at once (item-clustered bootstrap, Davison & Hinkley 1997), and every number,
score, paired difference, language gap, is made again from each resample. An error that takes tasks for independent, as
lm-eval's for a group does, is too small for a mean over languages and too large for a difference between models.

Intervals are percentile intervals at 95% with Hesterberg's correction (The American Statistician 69, 2015, section
"expanded percentile": the tails of Student's t and a factor sqrt(n / (n - 1))). Below FEW items resampling shows too
little of what there is, and such intervals hold the truth less often than they say; then `lidr.intervals.of_few` takes
their place, or Student's where nothing bounds the values. Where all items say the same, resampling shows no spread at
all; then the bounds are those of an event that was not seen in n trials (Clopper & Pearson for 0 of n).

The share of a gap that is closed is a quotient, and has Fieller's interval (1954): that of the ratios that the two gaps
allow. Where the baseline's gap is near 0 any ratio is allowed, so there is none below GAP_ERRORS standard errors. How
often each of these intervals holds the truth, on which data: docs/measured.md, tests/evals/coverage.py.

    panel = Panel(models=("M0", "M1"), languages=("en", "de"), items=("0", "1", ...), values=values)
    paired(panel, baseline="M0", dominant="en").differences["M1"]["de"]      -> Estimate
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lidr.intervals import FEW, LEVEL, of_few, student, unseen

Array = NDArray[np.float64]

RESAMPLES = 10_000
SEED = 0
ALL = "all"
"""Stands where a language stands for the unweighted mean over languages, and in gaps over the others."""

GAP_ERRORS = 4.0
"""So many standard errors a gap must be away from 0 before a share of it has an interval."""

_CELLS = 1_000_000
"""Counts that are held at a time, 8 bytes each, three times."""


@dataclass(frozen=True)
class Estimate:
    """A number, its standard error, its 95% interval, and how many items it rests on; None where not defined."""

    value: float | None
    stderr: float | None
    low: float | None
    high: float | None
    n: int

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval lies on one side of 0."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)

    def as_json(self) -> dict[str, Any]:
        """As plain data."""
        return {**asdict(self), "excludes_zero": self.excludes_zero}


UNDEFINED = Estimate(None, None, None, None, 0)


@dataclass(frozen=True)
class Panel:
    """One metric's values.

    Args:
        values: (models, items, languages); NaN where an item was not scored.
        span: smallest and largest value of a score; None: unbounded. Items of a fitted score may lie beyond.
    """

    models: tuple[str, ...]
    languages: tuple[str, ...]
    items: tuple[str, ...]
    values: Array
    span: tuple[float, float] | None = (0.0, 1.0)


Table = Mapping[str, Mapping[str, Estimate]]


@dataclass(frozen=True)
class Paired:
    """Every statistic of a panel, by model and then by language or ALL.

    Args:
        scores: means over the items that were scored.
        differences: to the baseline, over the items that both have; without the baseline itself.
        gaps: the dominant language's score minus that of another language, and minus the mean of the others.
        closed: share of the baseline's gap that is gone, 1 - gap / gap of the baseline; UNDEFINED where the baseline's
            gap cannot be told from 0, without an interval where it is less than GAP_ERRORS standard errors away from 0
            or rests on fewer than FEW items.
    """

    scores: Table
    differences: Table
    gaps: Table
    closed: Table

    def as_json(self) -> dict[str, Any]:
        """As plain data."""
        names = ("scores", "differences", "gaps", "closed")
        return {
            name: {m: {at: e.as_json() for at, e in row.items()} for m, row in getattr(self, name).items()}
            for name in names
        }


def paired(
    panel: Panel,
    *,
    baseline: str,
    dominant: str | None = None,
    resamples: int = RESAMPLES,
    seed: int = SEED,
    few: int = FEW,
) -> Paired:
    """Scores, paired differences to a baseline, and language gaps, all from the same resamples.

    Args:
        panel: at least one model, language and item.
        baseline: one of the models.
        dominant: one of the languages; None makes no gaps.
        resamples: of whole items.
        seed: equal seeds give equal intervals.
        few: 0 gives the intervals that earlier versions of lidr gave.
    """
    at = panel.models.index(baseline)
    others = [m for m in range(len(panel.models)) if m != at]
    columns = np.concatenate([panel.values, panel.values[others] - panel.values[at]])  # (columns, items, languages)
    cells = _Cells.of(columns, resamples, seed)
    models = dict(enumerate(panel.models))
    twice = None if panel.span is None else (panel.span[0] - panel.span[1], panel.span[1] - panel.span[0])
    scores = {models[m]: _row(cells, m, panel.languages, panel.span, few) for m in models}
    differences = {models[m]: _row(cells, len(models) + i, panel.languages, twice, few) for i, m in enumerate(others)}
    if dominant is None or len(panel.languages) < 2:
        return Paired(scores, differences, {}, {})
    found = {m: _gaps(cells, m, panel.languages, dominant) for m in models}
    gaps = {models[m]: {key: g.estimate(twice, few) for key, g in found[m].items()} for m in models}
    closed = {
        models[m]: {key: _closed(found[at][key], found[m][key], gaps[baseline][key]) for key in found[m]}
        for m in others
    }
    return Paired(scores, differences, gaps, closed)


@dataclass(frozen=True)
class _Statistic:
    """A number made from the items, the same made from every resample, and what each item adds to its error."""

    point: float
    draws: Array  # (resamples,)
    influence: Array  # (items,): how far the number moves with the item; their squares add up to its variance
    n: int

    @property
    def stderr(self) -> float | None:
        """Standard error, with n - 1 in the variance; None for one item."""
        return math.sqrt(self.covariance(self)) if self.n > 1 else None

    def covariance(self, other: _Statistic) -> float:
        """With another number of the same items; at least two of them."""
        n = min(self.n, other.n)
        return float(self.influence @ other.influence) * n / (n - 1)

    def estimate(self, span: tuple[float, float] | None, few: int) -> Estimate:
        if math.isnan(self.point):
            return UNDEFINED
        draws = self.draws[np.isfinite(self.draws)]
        low, high = interval(self.point, draws, self.n, span, stderr=self.stderr, few=few)
        return Estimate(self.point, self.stderr, low, high, self.n)


@dataclass(frozen=True)
class _Cells:
    """Means of columns and languages, of the items and of every resample."""

    values: Array  # (columns, items, languages)
    point: Array  # (columns, languages)
    draws: Array  # (resamples, columns, languages)

    @classmethod
    def of(cls, columns: Array, resamples: int, seed: int) -> _Cells:
        width, items, languages = columns.shape
        flat = columns.transpose(1, 0, 2).reshape(items, width * languages)
        draws = resampled_means(flat, resamples=resamples, seed=seed).reshape(resamples, width, languages)
        known = ~np.isnan(columns)
        return cls(columns, _divide(np.where(known, columns, 0.0).sum(axis=1), known.sum(axis=1)), draws)

    def mean(self, column: int, languages: list[int]) -> _Statistic:
        """Unweighted over languages; not defined where one of them has no scored item."""
        values, points = self.values[column][:, languages], self.point[column, languages]
        known = ~np.isnan(values)
        influence = np.where(known, values - points, 0.0) / np.maximum(1, known.sum(axis=0))
        return _Statistic(
            float(points.mean()),
            self.draws[:, column, languages].mean(axis=1),
            influence.mean(axis=1),
            int(known.any(axis=1).sum()),
        )


def _row(
    cells: _Cells, column: int, languages: tuple[str, ...], span: tuple[float, float] | None, few: int
) -> dict[str, Estimate]:
    row = {code: cells.mean(column, [i]).estimate(span, few) for i, code in enumerate(languages)}
    return row | {ALL: cells.mean(column, list(range(len(languages)))).estimate(span, few)}


def _gaps(cells: _Cells, column: int, languages: tuple[str, ...], dominant: str) -> dict[str, _Statistic]:
    """Dominant minus each other language, and minus their mean."""
    best = cells.mean(column, [languages.index(dominant)])
    others = [i for i, code in enumerate(languages) if code != dominant]
    found = {languages[i]: _minus(best, cells.mean(column, [i])) for i in others}
    return found | {ALL: _minus(best, cells.mean(column, others))}


def _minus(a: _Statistic, b: _Statistic) -> _Statistic:
    return _Statistic(a.point - b.point, a.draws - b.draws, a.influence - b.influence, min(a.n, b.n))


def _closed(before: _Statistic, after: _Statistic, gap: Estimate) -> Estimate:
    if not gap.excludes_zero:
        return UNDEFINED
    ratio = after.point / before.point
    n = min(before.n, after.n)
    if n < 2:
        return Estimate(1.0 - ratio, None, None, None, n)
    influence = (before.influence * ratio - after.influence) / before.point  # delta method
    share = _Statistic(1.0 - ratio, after.draws, influence, n)
    left = _ratios(before, after)
    low, high = (None, None) if left is None else (1.0 - left[1], 1.0 - left[0])
    return Estimate(share.point, share.stderr, low, high, n)


def _ratios(before: _Statistic, after: _Statistic) -> tuple[float, float] | None:
    """Fieller's interval of after / before; none where `before` is too near 0 or there are too few items.

    A ratio r is allowed where after - r * before is within t standard errors of 0: a quadratic inequality in r, whose
    solutions are an interval where `before` itself is more than t standard errors away from 0.
    """
    n = min(before.n, after.n)
    below, shared, above = before.covariance(before), before.covariance(after), after.covariance(after)
    if n < FEW or abs(before.point) < GAP_ERRORS * math.sqrt(below) or max(below, above) < _NOTHING:
        return None
    t2 = student((1.0 + LEVEL) / 2, n - 1) ** 2
    a = before.point**2 - t2 * below
    b = before.point * after.point - t2 * shared
    root = math.sqrt(max(0.0, b * b - a * (after.point**2 - t2 * above)))
    return (b - root) / a, (b + root) / a


_NOTHING = 1e-18  # a variance that is rounding alone


def resampled_means(values: Array, *, resamples: int = RESAMPLES, seed: int = SEED) -> Array:
    """Means of each column over rows drawn with replacement, in blocks of bounded memory.

    Args:
        values: (items, columns); NaN counts nowhere.

    Returns:
        (resamples, columns); NaN where a resample holds no value of a column.
    """
    items, columns = values.shape
    known = ~np.isnan(values)
    both = np.hstack([np.where(known, values, 0.0), known.astype(np.float64)])  # (items, 2 * columns)
    random = np.random.default_rng(seed)
    means = np.empty((resamples, columns))
    block = max(1, _CELLS // items)
    for start in range(0, resamples, block):
        sums = drawn_counts(random, min(block, resamples - start), items) @ both
        means[start : start + block] = _divide(sums[:, :columns], sums[:, columns:])
    return means


def drawn_counts(random: np.random.Generator, resamples: int, items: int) -> Array:
    """How often each item is drawn: (resamples, items), multinomial, every row adding up to `items`."""
    drawn = random.integers(0, items, size=(resamples, items)) + items * np.arange(resamples)[:, None]
    return np.bincount(drawn.ravel(), minlength=resamples * items).reshape(resamples, items).astype(np.float64)


def interval(
    point: float,
    draws: Array,
    n: int,
    span: tuple[float, float] | None,
    level: float = LEVEL,
    *,
    stderr: float | None = None,
    few: int = FEW,
) -> tuple[float | None, float | None]:
    """Interval of a statistic from its resampled values.

    Args:
        draws: (resamples,), finite.
        n: items.
        span: bounds of the value; where there are none and no resample differs, there is no interval.
        stderr: standard error of the statistic; None takes that of the draws.
        few: below so many items the interval is made of `stderr`.
    """
    if not draws.size or n < 1:
        return None, None
    if n < few:
        return _of_few(point, draws, n, span, level, stderr)
    if n > 1 and np.ptp(draws) > 1e-12 * max(1.0, abs(point)):
        tail = _tail(n, level)
        low, high = map(float, np.quantile(draws, [tail, 1.0 - tail]))
        return (low, high) if span is None else (max(span[0], low), min(span[1], high))
    if span is None:
        return None, None
    reach = unseen(n, level)
    return point - (point - span[0]) * reach, point + (span[1] - point) * reach


def _of_few(
    point: float, draws: Array, n: int, span: tuple[float, float] | None, level: float, stderr: float | None
) -> tuple[float | None, float | None]:
    if stderr is None and n > 1:
        stderr = float(draws.std()) * math.sqrt(n / (n - 1))
    if stderr is None or stderr**2 < _NOTHING:
        stderr = 0.0
    if span is not None:
        return of_few(point, stderr, n, span, level)
    if not stderr:
        return None, None
    half = student((1.0 + level) / 2, n - 1) * stderr
    return point - half, point + half


def _tail(n: int, level: float) -> float:
    """Probability below an expanded percentile interval of n items: 0.025 for many, less for few."""
    return NormalDist().cdf(math.sqrt(n / (n - 1)) * student((1.0 - level) / 2, n - 1))


def _divide(a: Any, b: Any) -> Array:
    """a / b, NaN where b is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        quotient: Array = np.where(b == 0, np.nan, np.asarray(a, np.float64) / b)
    return quotient
