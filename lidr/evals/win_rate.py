"""Win rates from a judge's preferences: pure numbers, in per cent, as alpaca_eval 0.6.6 defines them.

A preference says how much the judge likes the model's answer better than the reference's:

    1 = reference better    1.5 = tie    2 = model better    None = not judged, which is not a loss
                                                             (0 is read as 1.5, as alpaca_eval does)

    win_rate           100 * mean(preference - 1), standard error 100 * sd / sqrt(n), sd with n - 1
    discrete_win_rate  100 * mean(1 if preference > 1.5, 0.5 if it is 1.5, else 0)
    lc_win_rate        the win rate there would be if both answers were equally long, with a prior on the slope
    lc_win_rate_minimal    the same without it; what earlier versions of lidr called lc_win_rate

Length-controlled (arXiv 2404.04475). Over the items i of one language, y_i = preference - 1 in [0, 1] is a soft label:

    x_i    = tanh((reference_length_i - length_i) / s)     s = standard deviation of the differences, with n - 1
    P(y_i) = sigmoid(slope * x_i + constant)               fitted by maximum likelihood; slope ~ N(0, PRIOR_SD^2)
    LC     = 100 * sigmoid(constant)                       x = 0: no difference in length

    SE(LC) = 100 * sigmoid'(constant) * sqrt(V_cc)         delta method
    V      = n/(n-2) * H^-1 B H^-1                         sandwich, as soft labels are not binomial draws
    H      = sum p_i (1 - p_i) z_i z_i' + prior            z_i = (x_i, 1); prior = diag(1 / PRIOR_SD^2, 0)
    B      = sum (y_i - p_i)^2 z_i z_i'

alpaca_eval's `lc_standard_error` is the spread of the predictions, which is 0 in this form: no standard error of the
estimate. Its fit also shrinks both coefficients (L1, strength by cross-validation), and with the constant the win rate
towards 50. Measured on real outputs (gpt-3.5-turbo-0125 against gpt-4-turbo, de and fr, 805 rows) with 20 sets of
seeded preferences: without that penalty the two fits agree to 1e-4 points in all; with it 12 differ by less than 0.06,
and 8, where little is left of the penalised constant, by 0.4 to 7 (tests/parity).

Why a prior: where a model wins little, its preferences say next to nothing of the slope, and a slope without a prior
is extrapolated. On the leaderboard's own judgements that form is further from the published length-controlled rate than
the raw win rate is; with the prior the distance is a quarter of the raw one (docs/measured.md). The prior knows no
language: its centre 0 says that nothing is known of the judge's taste for length, x has no unit, and with few items the
rate goes towards the win rate. It is not AlpacaEval's version 1, which needs the difficulty of its 805 instructions.

Where the fit has no answer, there is none, and never a warning or a NaN:

    no preference at all                             every score None, n = 0
    one judged item                                  its value, no standard error
    all preferences equal (all ties, all wins)       LC = win rate, standard error 0, like the win rate's own
    all differences in length equal                  length explains nothing: LC = win rate, with its standard error
    lengths separate wins from losses perfectly      minimal: None, the constant may be anything
    two judged items, or all but separated ones      LC as fitted, no standard error
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from lidr.evals.results import Score, mean_score

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vector = NDArray[np.float64]

TIE = 1.5

PRIOR_SD = 0.3
"""Standard deviation of the prior on the slope: the nearest to the leaderboard of .2, .25, .3, .35, .4 and .5 on 56 of
its models (docs/measured.md)."""


def preference_of(value: float | None) -> float | None:
    """Read a preference as alpaca_eval does: 0, its old sign for a tie, is 1.5; not-a-number is not judged.

    Raises:
        ValueError: it is not in [1, 2].
    """
    if value is None or value != value:
        return None
    if value == 0:
        return TIE
    if not 1 <= value <= 2:
        raise ValueError(f"a preference is 1 (reference better) to 2 (model better), found {value!r}")
    return float(value)


def discrete(preference: float | None) -> float | None:
    """Won (1), tied (0.5), lost (0) or not judged.

    >>> discrete(1.51), discrete(1.5), discrete(1.2), discrete(None)
    (1.0, 0.5, 0.0, None)
    """
    if preference is None:
        return None
    return 0.5 if preference == TIE else float(preference > TIE)


def win_rate(preferences: Sequence[float | None]) -> Score:
    """Mean preference for the model, per cent, over the items that were judged.

    >>> win_rate([2.0, 1.0, 1.25, None]).text(digits=1)
    '41.7 ± 30.0'
    """
    return percent(mean_score([None if p is None else p - 1 for p in map(preference_of, preferences)]))


def discrete_win_rate(preferences: Sequence[float | None]) -> Score:
    """Share of items won, a tie counting half, per cent, over the items that were judged."""
    return percent(mean_score([discrete(preference_of(p)) for p in preferences]))


def lc_win_rate_minimal(
    preferences: Sequence[float | None], lengths: Sequence[float | None], reference_lengths: Sequence[float | None]
) -> Score:
    """Length-controlled win rate without a prior (alpaca_eval's `length_controlled_minimal`), with its standard error.

    Args:
        preferences: 1-2, None where not judged; such items still count in the spread of lengths, as in alpaca_eval.
        lengths: of the model's answers, characters, in the same order.
        reference_lengths: of the reference's answers, characters.

    Returns:
        Value and standard error as the module says; n is the number of judged items.
    """
    shorter, wins = _features(preferences, lengths, reference_lengths)
    if shorter is None:
        return win_rate(preferences)
    if _is_separated(shorter, wins):
        return Score(value=None, n=len(wins))
    return _controlled(shorter, wins, precision=0.0)[0]


def lc_win_rate(
    preferences: Sequence[float | None], lengths: Sequence[float | None], reference_lengths: Sequence[float | None]
) -> Score:
    """Length-controlled win rate with the prior on the slope, per cent; arguments as for `lc_win_rate_minimal`."""
    shorter, wins = _features(preferences, lengths, reference_lengths)
    return win_rate(preferences) if shorter is None else _controlled(shorter, wins, precision=PRIOR_SD**-2)[0]


def lc_contributions(
    preferences: Sequence[float | None], lengths: Sequence[float | None], reference_lengths: Sequence[float | None]
) -> list[float | None]:
    """What each item says of `lc_win_rate`, 0-1 and beyond: the mean of the judged items is the rate.

    The rate plus n times the item's influence, so that differences between models can be paired by item (delta method).
    They are spread so that the error of their mean is the error of the rate.
    """
    shorter, wins = _features(preferences, lengths, reference_lengths)
    if shorter is None:
        found = list(wins)
    else:
        score, influence = _controlled(shorter, wins, precision=PRIOR_SD**-2)
        assert score.value is not None
        moves = len(wins) * (influence - influence.mean())
        if score.stderr and (spread := moves.std(ddof=1)):
            moves *= score.stderr / 100 * math.sqrt(len(wins)) / spread
        found = list(score.value / 100 + moves)
    left = iter(found)
    return [None if p is None else float(next(left)) for p in map(preference_of, preferences)]


def _features(
    preferences: Sequence[float | None], lengths: Sequence[float | None], reference_lengths: Sequence[float | None]
) -> tuple[Vector | None, Vector]:
    """x of the judged items, None where length explains nothing, and their wins."""
    import numpy as np

    known = np.array([p is not None for p in map(preference_of, preferences)], dtype=bool)
    wins = np.array([p - 1 for p in map(preference_of, preferences) if p is not None], dtype=float)
    if not len(wins) or np.ptp(wins) == 0:
        return None, wins
    shorter = shorter_of(lengths, reference_lengths)[known]
    return (None if np.ptp(shorter) == 0 else shorter), wins


def shorter_of(lengths: Sequence[float | None], reference_lengths: Sequence[float | None]) -> Vector:
    """x of all items: how much shorter each answer is than the reference's; 0 where all differ alike."""
    import numpy as np

    differences = np.array(reference_lengths, dtype=float) - np.array(lengths, dtype=float)
    spread = float(np.std(differences, ddof=1)) if len(differences) > 1 else 0.0
    x: Vector = np.tanh(differences / spread) if spread else np.zeros(len(differences))
    return x


def _is_separated(x: Vector, y: Vector) -> bool:
    """Whether a threshold of x has all wins on one side and all losses on the other: no finite fit then.

    A soft label is a win and a loss at once, so it can only stand on the threshold itself.
    """
    won, lost = x[y > 0], x[y < 1]
    return bool(won.min() >= lost.max() or won.max() <= lost.min())


def _controlled(x: Vector, y: Vector, *, precision: float) -> tuple[Score, Vector]:
    """Fit and read off; x varies, y varies, and without a prior they are not separated.

    Returns:
        The rate, per cent, and how far each item moves it, 0-1.
    """
    import numpy as np
    from scipy.special import expit

    z, prior = _columns(x), np.array([precision, 0.0])
    theta = fit(z, y, prior)
    level, n = float(expit(theta[1])), len(y)
    moves = _influence(z, y, theta, prior)
    influence = np.zeros(n) if moves is None else level * (1 - level) * moves
    known = moves is not None and n > 2
    stderr = 100 * float(np.sqrt(np.sum(influence**2) * n / (n - 2))) if known else None
    return Score(value=100 * level, stderr=stderr, n=n), influence


def _columns(x: Vector) -> Vector:
    """Design matrix, (n, 2): length and the constant."""
    import numpy as np

    return np.column_stack([x, np.ones_like(x)])


def _influence(z: Vector, y: Vector, theta: Vector, prior: Vector) -> Vector | None:
    """How far each item moves the constant, (n,); None where labels are all but separated."""
    import numpy as np
    from scipy.special import expit

    p = expit(z @ theta)
    bread = (z * (p * (1 - p))[:, None]).T @ z + np.diag(prior)
    if np.linalg.cond(bread) > _ILL:
        return None
    half = np.linalg.solve(bread, (z * (y - p)[:, None]).T)  # (2, n): H^-1 times each item's gradient
    constant: Vector = half[1]
    return constant


_ILL = 1e12  # condition number beyond which a covariance has no digit left


def fit(z: Vector, y: Vector, prior: Vector, weights: Vector | None = None) -> Vector:
    """Logistic regression with labels in [0, 1]: the coefficients, (k,). Convex, from 0.

    Args:
        z: (n, k).
        y: (n,), 0-1.
        prior: (k,), precisions around 0.
        weights: (n,), of the items; None: 1 each.
    """
    import numpy as np
    from scipy.optimize import minimize
    from scipy.special import expit

    w = np.ones(len(y)) if weights is None else weights

    def loss(theta: Vector) -> float:
        at = z @ theta
        return float(np.mean(w * (np.logaddexp(0, at) - y * at)) + prior @ theta**2 / (2 * len(y)))

    def gradient(theta: Vector) -> Vector:
        slope: Vector = (z.T @ (w * (expit(z @ theta) - y)) + prior * theta) / len(y)
        return slope

    def curvature(theta: Vector) -> Vector:
        p = expit(z @ theta)
        bend: Vector = ((z * (w * p * (1 - p))[:, None]).T @ z + np.diag(prior)) / len(y)
        return bend

    start = np.zeros(z.shape[1])
    found: Vector = minimize(loss, start, jac=gradient, hess=curvature, method="trust-exact", options={"gtol": 1e-10}).x
    return found


def percent(score: Score) -> Score:
    """A share of 0-1 as per cent."""
    return Score(
        value=None if score.value is None else 100 * score.value,
        stderr=None if score.stderr is None else 100 * score.stderr,
        n=score.n,
    )


def count(values: Sequence[float | None]) -> Score:
    """How many are 1; n is how many were looked at."""
    known = [value for value in values if value is not None]
    return Score(value=float(sum(value == 1 for value in known)), n=len(known))
