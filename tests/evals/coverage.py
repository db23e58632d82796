"""How often an interval holds the truth: simulated, for docs/measured.md and the tests of lidr.evals.statistics.

python -m tests.evals.coverage [TRIALS]     all tables as text, some minutes for 1,000 trials
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from lidr.evals.compare.metrics import metric_named
from lidr.evals.compare.panels import panel_of
from lidr.evals.statistics import Estimate, Panel, paired
from lidr.evals.win_rate import lc_contributions
from lidr.intervals import FEW

Draw = Callable[[np.random.Generator, int], np.ndarray]
"""Values of two models, (2, items), 0-1."""


def _binary(better: float, worse: float) -> Draw:
    """Right or wrong: the second alone is right with `better`, the first alone with `worse`, else both are right."""

    def draw(random: np.random.Generator, items: int) -> np.ndarray:
        at = random.random(items)
        return np.stack([at >= better, (at < better) | (at >= better + worse)]).astype(float)

    return draw


def _sharp(shift: float) -> Draw:
    """Preferences of a judge that is mostly sure, with what an item has in common."""

    def draw(random: np.random.Generator, items: int) -> np.ndarray:
        level = random.standard_normal(items) + random.standard_normal((2, items)) + [[0.0], [shift]]
        return 1.0 / (1.0 + np.exp(-4.0 * level))

    return draw


DIFFERENCES: dict[str, tuple[Draw, float]] = {
    "binary .05 .05": (_binary(0.05, 0.05), 0.0),
    "binary .10 .05": (_binary(0.10, 0.05), 0.05),
    "binary .20 .10": (_binary(0.20, 0.10), 0.10),
    "binary .30 .30": (_binary(0.30, 0.30), 0.0),
    "binary .80 .05": (_binary(0.80, 0.05), 0.75),
    "binary .10 .00": (_binary(0.10, 0.0), 0.10),
    "sure judge +0": (_sharp(0.0), 0.0),
    "sure judge +1.5": (_sharp(1.5), float(np.nan)),
    "unsure judge": (lambda random, items: random.beta(2.0, 2.0, (2, items)), 0.0),
}
"""Name -> draws of items, and the true difference."""


class Covered(NamedTuple):
    """Shares of intervals that hold the truth: today's, and the resampled ones that earlier versions gave."""

    share: float
    old: float
    width: float


def covered(name: str, items: int, *, trials: int, resamples: int = 500) -> Covered:
    """How often the interval of a paired difference holds the true one; without resamples the new one alone."""
    draw, truth = DIFFERENCES[name]
    random = np.random.default_rng(items)
    if math.isnan(truth):
        large = draw(np.random.default_rng(0), 1_000_000)
        truth = float((large[1] - large[0]).mean())
    inside, width = [0, 0], 0.0
    for trial in range(trials):
        values = Panel(("a", "b"), ("en",), tuple(map(str, range(items))), draw(random, items)[:, :, None])
        for way, few in enumerate((FEW, 0) if resamples else (FEW,)):
            found = paired(values, baseline="a", resamples=resamples if items >= few else 10, seed=trial, few=few)
            e = found.differences["b"]["en"]
            if e.low is not None and e.high is not None:
                inside[way] += e.low - 1e-12 <= truth <= e.high + 1e-12
                width += (e.high - e.low) / trials if few else 0.0
    return Covered(inside[0] / trials, inside[1] / trials, width)


def _judged(
    shift: float, taste: float, sharpness: float
) -> Callable[[np.random.Generator, int], list[list[list[float]]]]:
    """Preferences of two models' answers with their lengths and the reference's: the second is 200 characters longer.

    Args:
        shift: how much better the second is.
        taste: how much the judge likes length.
        sharpness: how sure it is.
    """

    def draw(random: np.random.Generator, items: int) -> list[list[list[float]]]:
        reference, common = random.normal(800.0, 200.0, items), random.standard_normal(items)
        found = []
        for better, longer in ((0.0, 0.0), (shift, 200.0)):
            lengths = reference + random.normal(longer, 250.0, items)
            level = common + random.standard_normal(items) + better + taste * (lengths - reference) / 250.0
            preferences = 2.0 - 1.0 / (1.0 + np.exp(sharpness * level))
            found.append([preferences.tolist(), lengths.tolist(), reference.tolist()])
        return found

    return draw


CONTROLLED = {
    "sure judge +1": _judged(1.0, 0.0, 4.0),
    "judge that likes length": _judged(0.0, 1.0, 4.0),
    "sure judge, nearly all won": _judged(2.5, 0.5, 50.0),
    "unsure judge": _judged(0.3, 0.3, 0.1),
}


def controlled_covered(name: str, items: int, *, trials: int) -> tuple[float, float]:
    """How often the intervals of the second's length-controlled rate, and of the difference, hold what is estimated.

    That is the mean over all trials: what the fit with its prior gives of so many items on average. What the prior
    takes towards the win rate is no part of it.
    """
    random, metric = np.random.default_rng(items), metric_named("x_alpacaeval", "lc_win_rate")
    rates: list[Estimate] = []
    changes: list[Estimate] = []
    for trial in range(trials):
        each = [{"en": dict(enumerate(lc_contributions(*side)))} for side in CONTROLLED[name](random, items)]
        values = [{"en": {str(item): value for item, value in of["en"].items()}} for of in each]
        found = paired(panel_of(("a", "b"), ("en",), values, metric), baseline="a", resamples=300, seed=trial)
        rates.append(found.scores["b"]["en"])
        changes.append(found.differences["b"]["en"])
    return _holding(rates), _holding(changes)


def _holding(found: list[Estimate]) -> float:
    truth = float(np.mean([e.value for e in found]))
    return float(np.mean([e.low is not None and e.high is not None and e.low <= truth <= e.high for e in found]))


class Closed(NamedTuple):
    """Of all trials: the share with an interval, and the share with one that does not hold the truth."""

    shown: float
    missed: float


def closed_covered(gap: float, closed: float, *, items: int, trials: int) -> Closed:
    """How often the share of a closed gap has an interval, and how often a wrong one.

    Args:
        gap: true gap of the first model between two languages, right or wrong; .8 in the dominant one.
        closed: true share that the second model closes; where the gap is 0 any is true, and none is taken as wrong.
    """
    random = np.random.default_rng(items)
    cut = np.array([[_cut(0.8), _cut(0.8 - gap)], [_cut(0.8), _cut(0.8 - gap * (1 - closed))]])[:, None, :]
    shown = missed = 0
    for trial in range(trials):
        ease = math.sqrt(0.6) * random.standard_normal((1, items, 1))
        ease = ease + math.sqrt(0.4) * random.standard_normal((2, items, 2))
        values = Panel(("a", "b"), ("en", "es"), tuple(map(str, range(items))), (ease > cut).astype(float))
        e = paired(values, baseline="a", dominant="en", resamples=300, seed=trial).closed["b"]["es"]
        if e.low is not None and e.high is not None:
            shown += 1
            missed += gap == 0 or not e.low <= closed <= e.high
    return Closed(shown / trials, missed / trials)


def _cut(share: float) -> float:
    from statistics import NormalDist

    return NormalDist().inv_cdf(1 - share)


def main(trials: int) -> None:
    """Print all tables."""
    sizes = (3, 5, 10, 20, 30, 50, 100)
    for name in DIFFERENCES:
        cells = [covered(name, items, trials=trials) for items in sizes]
        print(name, *(f"n={n}: {c.share:.3f} (was {c.old:.3f})" for n, c in zip(sizes, cells, strict=True)), sep="  ")
    for name in CONTROLLED:
        print("length-controlled,", name, *(f"n={n}: {controlled_covered(name, n, trials=trials)}" for n in sizes[:-1]))
    for closed in (0.0, 0.5):
        for gap in (0.0, 0.03, 0.06, 0.1, 0.2, 0.4):
            print("closed", closed, "gap", gap, closed_covered(gap, closed, items=150, trials=trials))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
