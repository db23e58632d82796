"""Win rates: by hand, against scikit-learn and a bootstrap, and where there is nothing to fit."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lidr.evals.win_rate import discrete_win_rate, lc_win_rate, win_rate


def simulated(seed: int, n: int, slope: float, constant: float, longer: float = 300.0):
    """Preferences of a judge that likes long answers, with the lengths that caused them."""
    rng = np.random.default_rng(seed)
    reference = rng.integers(200, 3000, n)
    lengths = np.maximum(1, reference + rng.normal(longer, 700, n)).astype(int)
    differences = reference - lengths
    x = np.tanh(differences / differences.std(ddof=1))
    p = 1 / (1 + np.exp(-(slope * x + constant + rng.normal(0, 1, n))))
    return (1 + p).tolist(), lengths.tolist(), reference.tolist()


def test_a_win_rate_is_the_mean_preference_with_the_error_of_the_mean():
    score = win_rate([2.0, 1.0, 1.25, 1.5])
    mean = (1 + 0 + 0.25 + 0.5) / 4
    spread = math.sqrt(sum((y - mean) ** 2 for y in (1, 0, 0.25, 0.5)) / 3)
    assert score.value == pytest.approx(100 * mean, abs=1e-12)
    assert score.stderr == pytest.approx(100 * spread / 2, abs=1e-12)
    assert score.n == 4


def test_what_was_not_judged_is_no_loss():
    assert win_rate([2.0, None, float("nan")]) == win_rate([2.0])


def test_zero_is_alpaca_evals_old_sign_for_a_tie():
    assert win_rate([0, 2.0]) == win_rate([1.5, 2.0])
    assert discrete_win_rate([0, 2.0]).value == 75.0


def test_a_discrete_win_rate_counts_wins_and_half_of_the_ties():
    assert discrete_win_rate([1.51, 1.49, 1.5, 2.0, None]).value == 100 * (1 + 0 + 0.5 + 1) / 4


def test_a_preference_outside_1_to_2_is_a_bug_that_is_not_hidden():
    with pytest.raises(ValueError, match=r"a preference is 1 \(reference better\) to 2"):
        win_rate([0.7])


@pytest.mark.parametrize(("slope", "constant"), [(-1.5, -0.8), (0.0, 0.3), (2.0, -2.0)])
def test_the_fit_is_that_of_scikit_learn_with_every_label_doubled(slope, constant):
    from sklearn.linear_model import LogisticRegression

    preferences, lengths, reference = simulated(1, 805, slope, constant)
    difference = np.array(reference) - np.array(lengths)
    x = np.tanh(difference / difference.std(ddof=1))
    z, y = np.column_stack([x, np.ones_like(x)]), np.array(preferences) - 1
    fit = LogisticRegression(C=1e9, fit_intercept=False, tol=1e-10, max_iter=1000)
    fit.fit(np.vstack([z, z]), [1] * len(y) + [0] * len(y), sample_weight=np.concatenate([y, 1 - y]))
    theirs = 100 / (1 + math.exp(-fit.coef_[0][1]))
    assert lc_win_rate(preferences, lengths, reference).value == pytest.approx(theirs, abs=1e-4)


def test_the_standard_error_of_the_length_controlled_rate_is_the_bootstraps():
    preferences, lengths, reference = simulated(2, 400, -1.5, -0.6)
    rng = np.random.default_rng(3)
    values = []
    for _ in range(600):
        chosen = rng.integers(0, 400, 400)
        again = [[column[i] for i in chosen] for column in (preferences, lengths, reference)]
        values.append(lc_win_rate(*again).value)
    score = lc_win_rate(preferences, lengths, reference)
    assert score.stderr == pytest.approx(np.std(values, ddof=1), rel=0.12)  # 600 draws know it to 3%


def test_a_model_that_wins_by_length_alone_is_brought_back():
    preferences, lengths, reference = simulated(4, 2000, -2.5, 0.0)
    plain, controlled = win_rate(preferences), lc_win_rate(preferences, lengths, reference)
    assert plain.value > 60
    assert controlled.value == pytest.approx(50, abs=3 * controlled.stderr)


def test_items_without_a_verdict_count_in_the_spread_of_lengths_only():
    preferences, lengths, reference = simulated(5, 300, -1.0, 0.2)
    partly = [p if i % 7 else None for i, p in enumerate(preferences)]
    score = lc_win_rate(partly, lengths, reference)
    assert score.n == sum(p is not None for p in partly)
    shorter = [(p, a, b) for p, a, b in zip(partly, lengths, reference, strict=True) if p is not None]
    assert score.value != lc_win_rate(*zip(*shorter, strict=True)).value


@pytest.mark.parametrize(
    ("preferences", "lengths", "value", "has_error"),
    [
        ([], [], None, False),
        ([None, None], [10, 30], None, False),
        ([1.25], [10], 25.0, False),
        ([1.25, None], [10, 70], 25.0, False),
        ([1.5] * 4, [10, 20, 30, 40], 50.0, True),
        ([2.0] * 4, [10, 20, 30, 40], 100.0, True),
        ([1.2, 1.4, 2.0], [50, 50, 50], 100 * (0.2 + 0.4 + 1) / 3, True),
        ([1.0, 1.0, 2.0, 2.0], [10, 20, 30, 40], None, False),
        ([1.0, 1.5, 2.0], [10, 20, 30], None, False),
        ([1.4, 1.6], [10, 20], 50.0, False),
    ],
    ids=["none", "unjudged", "one", "one-judged", "ties", "wins", "equal-lengths", "separated", "separated-tie", "two"],
)
def test_where_there_is_nothing_to_fit_the_answer_is_the_documented_one(preferences, lengths, value, has_error):
    reference = [20 if len(lengths) != 2 else 15] * len(lengths)
    score = lc_win_rate(preferences, lengths, reference)
    assert score.value == (None if value is None else pytest.approx(value, abs=1e-6))
    assert (score.stderr is not None) == has_error
    json.dumps(score.model_dump(), allow_nan=False)


@given(
    st.lists(
        st.tuples(
            st.one_of(st.none(), st.sampled_from([1.0, 1.5, 2.0]), st.floats(1, 2)),
            st.integers(0, 20_000),
            st.integers(0, 20_000),
        ),
        max_size=30,
    )
)
@settings(max_examples=300, deadline=None)
def test_no_input_gives_a_warning_or_a_number_that_is_none(rows):
    columns = [list(column) for column in zip(*rows, strict=True)] or [[], [], []]
    for score in (lc_win_rate(*columns), win_rate(columns[0]), discrete_win_rate(columns[0])):
        json.dumps(score.model_dump(), allow_nan=False)
        assert score.value is None or -1e-9 <= score.value <= 100 + 1e-9
