"""Win rates: by hand, against scikit-learn and a bootstrap, and where there is nothing to fit."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lidr.evals.results import TaskResult
from lidr.evals.win_rate import (
    PRIOR_SD,
    discrete_win_rate,
    lc_contributions,
    lc_win_rate,
    lc_win_rate_minimal,
    win_rate,
)
from tests.seeded import task_result


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
    assert lc_win_rate_minimal(preferences, lengths, reference).value == pytest.approx(theirs, abs=1e-4)


def test_the_standard_error_of_the_length_controlled_rate_is_the_bootstraps():
    preferences, lengths, reference = simulated(2, 400, -1.5, -0.6)
    rng = np.random.default_rng(3)
    values = []
    for _ in range(600):
        chosen = rng.integers(0, 400, 400)
        again = [[column[i] for i in chosen] for column in (preferences, lengths, reference)]
        values.append(lc_win_rate_minimal(*again).value)
    score = lc_win_rate_minimal(preferences, lengths, reference)
    assert score.stderr == pytest.approx(np.std(values, ddof=1), rel=0.12)  # 600 draws know it to 3%


def test_a_model_that_wins_by_length_alone_is_brought_back():
    preferences, lengths, reference = simulated(4, 2000, -2.5, 0.0)
    plain, controlled = win_rate(preferences), lc_win_rate_minimal(preferences, lengths, reference)
    assert plain.value > 60
    assert controlled.value == pytest.approx(50, abs=3 * controlled.stderr)


def test_items_without_a_verdict_count_in_the_spread_of_lengths_only():
    preferences, lengths, reference = simulated(5, 300, -1.0, 0.2)
    partly = [p if i % 7 else None for i, p in enumerate(preferences)]
    score = lc_win_rate_minimal(partly, lengths, reference)
    assert score.n == sum(p is not None for p in partly)
    shorter = [(p, a, b) for p, a, b in zip(partly, lengths, reference, strict=True) if p is not None]
    assert score.value != lc_win_rate_minimal(*zip(*shorter, strict=True)).value


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
    score = lc_win_rate_minimal(preferences, lengths, reference)
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
    for score in (
        lc_win_rate(*columns),
        lc_win_rate_minimal(*columns),
        win_rate(columns[0]),
        discrete_win_rate(columns[0]),
    ):
        json.dumps(score.model_dump(), allow_nan=False)
        assert score.value is None or -1e-9 <= score.value <= 100 + 1e-9


def leaders_like(seed: int, share: float):
    """A model that wins little against much longer answers, as most of a leaderboard do."""
    return simulated(seed, 805, -1.5, math.log(share / (1 - share)), longer=-900.0)


@pytest.mark.parametrize("share", [0.03, 0.1, 0.5])
def test_the_rate_with_a_prior_lies_between_the_win_rate_and_the_rate_without(share):
    columns = leaders_like(1, share)
    plain, bare, controlled = (f(*columns) for f in (lambda p, *_: win_rate(p), lc_win_rate_minimal, lc_win_rate))
    assert plain.value < controlled.value < bare.value


def test_the_prior_is_that_of_scikit_learns_ridge_on_the_slope():
    from sklearn.linear_model import LogisticRegression

    preferences, lengths, reference = leaders_like(3, 0.2)
    difference = np.array(reference) - np.array(lengths)
    x, y = np.tanh(difference / difference.std(ddof=1)), np.array(preferences) - 1
    fit = LogisticRegression(C=PRIOR_SD**2, tol=1e-10, max_iter=1000)  # its intercept is not penalised
    fit.fit(np.tile(x, 2)[:, None], [1] * len(y) + [0] * len(y), sample_weight=np.concatenate([y, 1 - y]))
    assert lc_win_rate(preferences, lengths, reference).value == pytest.approx(
        100 / (1 + math.exp(-fit.intercept_[0])), abs=1e-3
    )


def test_of_few_items_the_prior_gives_nearly_the_win_rate_and_separation_is_no_obstacle():
    few = ([1.0, 1.0, 2.0, 2.0], [10, 20, 30, 40], [20] * 4)
    assert lc_win_rate_minimal(*few).value is None
    assert lc_win_rate(*few).value == pytest.approx(win_rate(few[0]).value, abs=3)


def test_contributions_have_the_rate_for_their_mean_and_its_error_for_theirs():
    preferences, lengths, reference = leaders_like(4, 0.2)
    preferences[7] = None
    score, found = lc_win_rate(preferences, lengths, reference), lc_contributions(preferences, lengths, reference)
    known = [value for value in found if value is not None]
    assert [value is None for value in found] == [p is None for p in preferences]
    assert 100 * np.mean(known) == pytest.approx(score.value, abs=1e-9)
    assert 100 * np.std(known, ddof=1) / math.sqrt(len(known)) == pytest.approx(score.stderr, rel=1e-9)


def test_of_few_items_too_contributions_have_the_error_of_the_rate():
    preferences, lengths, reference = simulated(6, 6, -1.0, 0.2)
    found = lc_contributions(preferences, lengths, reference)
    error = lc_win_rate(preferences, lengths, reference).stderr
    assert 100 * np.std(found, ddof=1) / math.sqrt(6) == pytest.approx(error, rel=1e-9)


def test_the_error_without_a_prior_is_the_sandwich_with_n_over_n_minus_2():
    preferences, lengths, reference = simulated(6, 12, -1.0, 0.2)
    score = lc_win_rate_minimal(preferences, lengths, reference)
    d = np.array(reference) - np.array(lengths)
    z = np.column_stack([np.tanh(d / d.std(ddof=1)), np.ones(12)])
    y, constant = np.array(preferences) - 1, math.log(score.value / (100 - score.value))
    slope = min(
        np.linspace(-20, 20, 400_001), key=lambda s: abs(np.sum(1 / (1 + np.exp(-(z[:, 0] * s + constant))) - y))
    )
    p = 1 / (1 + np.exp(-(z @ [slope, constant])))
    inverse = np.linalg.inv((z.T * (p * (1 - p))) @ z)
    variance = (inverse @ (z.T * (y - p) ** 2) @ z @ inverse)[1, 1] * 12 / 10
    level = score.value / 100
    assert score.stderr == pytest.approx(100 * level * (1 - level) * math.sqrt(variance), rel=1e-3)


@pytest.mark.parametrize("turned", [1, -1])
def test_a_tie_on_the_threshold_leaves_wins_and_losses_separated_either_way_round(turned):
    preferences = [1.0, 1.5, 2.0][::turned]
    assert lc_win_rate_minimal(preferences, [10, 20, 30], [20] * 3).value is None
    assert lc_win_rate_minimal([*preferences, preferences[0]], [10, 20, 30, 31], [20] * 4).value is not None


@pytest.mark.parametrize("score", [None, "lc_win_rate"])
def test_the_old_name_in_old_results_is_read_as_the_minimal_rate(score):
    old = {"value": 36.4, "stderr": 1.2, "n": 805}
    task = task_result("x_alpacaeval", "de", {"k0": {"win": 1.0}}).model_dump(mode="json")
    scores = {} if score is None else {score: old}
    read = TaskResult.model_validate({**task, "rules": 1, "scores": scores}).scores
    assert list(read) == ([] if score is None else ["lc_win_rate_minimal"])
    assert list(TaskResult.model_validate({**task, "rules": 2, "scores": scores}).scores) == list(scores)
