"""Win rates from a judge's preferences: pure numbers, in per cent, as alpaca_eval 0.6.6 defines them.

A preference says how much the judge likes the model's answer better than the reference's:

    1 = reference better    1.5 = tie    2 = model better    None = not judged, which is not a loss
                                                             (0 is read as 1.5, as alpaca_eval does)

    win_rate           100 * mean(preference - 1), standard error 100 * sd / sqrt(n), sd with n - 1
    discrete_win_rate  100 * mean(1 if preference > 1.5, 0.5 if it is 1.5, else 0)
    lc_win_rate        the win rate there would be if both answers were equally long

Length-controlled, in the minimal form (arXiv 2404.04475; alpaca_eval's `length_controlled_minimal`).
Over the items i of one language, y_i = preference - 1 in [0, 1] is a soft label:

    x_i    = tanh((reference_length_i - length_i) / s)     s = standard deviation of the differences, with n - 1
    P(y_i) = sigmoid(slope * x_i + constant)               fitted by maximum likelihood
    LC     = 100 * sigmoid(constant)                       x = 0: no difference in length

    SE(LC) = 100 * sigmoid'(constant) * sqrt(V_cc)         delta method
    V      = n/(n-2) * H^-1 B H^-1                         sandwich, as soft labels are not binomial draws
    H      = sum p_i (1 - p_i) z_i z_i'                    z_i = (x_i, 1)
    B      = sum (y_i - p_i)^2 z_i z_i'

alpaca_eval's `lc_standard_error` is the spread of the predictions, which is 0 in this form: no standard error of the
estimate. Its fit also shrinks both coefficients (L1, strength by cross-validation), and with the constant the win rate
towards 50. Measured on real outputs (gpt-3.5-turbo-0125 against gpt-4-turbo, de and fr, 805 rows) with 20 sets of
seeded preferences: without that penalty the two fits agree to 1e-4 points in all; with it 12 differ by less than 0.06,
and 8, where little is left of the penalised constant, by 0.4 to 7 (tests/parity).
No number here needs the English `instruction_difficulty` of alpaca_eval's version 1, so it holds in any language.

Where the fit has no answer, there is none, and never a warning or a NaN:

    no preference at all                             every score None, n = 0
    one judged item                                  its value, no standard error
    all preferences equal (all ties, all wins)       LC = win rate, standard error 0, like the win rate's own
    all differences in length equal                  length explains nothing: LC = win rate, with its standard error
    lengths separate wins from losses perfectly      LC None: the constant may be anything
    two judged items, or all but separated ones      LC as fitted, no standard error
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lidr.evals.results import Score, mean_score

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vector = NDArray[np.float64]

TIE = 1.5


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


def lc_win_rate(
    preferences: Sequence[float | None], lengths: Sequence[float | None], reference_lengths: Sequence[float | None]
) -> Score:
    """Length-controlled win rate, per cent, and the delta-method standard error of the estimate.

    Args:
        preferences: 1-2, None where not judged; such items still count in the spread of lengths, as in alpaca_eval.
        lengths: of the model's answers, characters, in the same order.
        reference_lengths: of the reference's answers, characters.

    Returns:
        Value and standard error as the module says; n is the number of judged items.
    """
    import numpy as np

    known = np.array([p is not None for p in map(preference_of, preferences)], dtype=bool)
    wins = np.array([p - 1 for p in map(preference_of, preferences) if p is not None], dtype=float)
    differences = np.array(reference_lengths, dtype=float) - np.array(lengths, dtype=float)
    plain = win_rate(preferences)
    spread = float(np.std(differences, ddof=1)) if len(differences) > 1 else 0.0
    if not spread or not len(wins) or np.ptp(wins) == 0:
        return plain
    shorter: Vector = np.tanh(differences / spread)[known]
    if np.ptp(shorter) == 0:
        return plain
    if _is_separated(shorter, wins):
        return Score(value=None, n=len(wins))
    return _controlled(shorter, wins)


def _is_separated(x: Vector, y: Vector) -> bool:
    """Whether a threshold of x has all wins on one side and all losses on the other: no finite fit then.

    A soft label is a win and a loss at once, so it can only stand on the threshold itself.
    """
    won, lost = x[y > 0], x[y < 1]
    return bool(won.min() >= lost.max() or won.max() <= lost.min())


def _controlled(x: Vector, y: Vector) -> Score:
    """Fit and read off; x varies, y varies, and they are not separated."""
    from scipy.special import expit

    z = _columns(x)
    theta = _fit(z, y)
    level = float(expit(theta[1]))
    deviation = _deviation(z, y, theta)
    return Score(
        value=100 * level, stderr=None if deviation is None else 100 * level * (1 - level) * deviation, n=len(y)
    )


def _columns(x: Vector) -> Vector:
    """Design matrix, (n, 2): length and the constant."""
    import numpy as np

    return np.column_stack([x, np.ones_like(x)])


def _deviation(z: Vector, y: Vector, theta: Vector) -> float | None:
    """Standard error of the constant; None for two items, or where labels are all but separated."""
    import numpy as np
    from scipy.special import expit

    p, n = expit(z @ theta), len(y)
    bread = (z * (p * (1 - p))[:, None]).T @ z
    if n <= 2 or np.linalg.cond(bread) > _ILL:
        return None
    half = np.linalg.solve(bread, (z * (y - p)[:, None]).T)  # (2, n): H^-1 times each item's gradient
    return float(np.sqrt(np.sum(half[1] ** 2) * n / (n - 2)))


_ILL = 1e12  # condition number beyond which a covariance has no digit left


def _fit(z: Vector, y: Vector) -> Vector:
    """Maximum likelihood of a logistic regression with labels in [0, 1]; z: (n, k). Convex, from 0."""
    import numpy as np
    from scipy.optimize import minimize
    from scipy.special import expit

    def loss(theta: Vector) -> float:
        at = z @ theta
        return float(np.mean(np.logaddexp(0, at) - y * at))

    def gradient(theta: Vector) -> Vector:
        slope: Vector = z.T @ (expit(z @ theta) - y) / len(y)
        return slope

    def curvature(theta: Vector) -> Vector:
        p = expit(z @ theta)
        bend: Vector = (z * (p * (1 - p))[:, None]).T @ z / len(y)
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
