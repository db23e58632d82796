import pytest
from scipy import stats

from lidr.intervals import FEW, of_few, of_mean, quantile, student, unseen, wilson


@pytest.mark.parametrize(("wins", "n"), [(0, 4), (3, 4), (4, 4), (150, 250), (1, 805)])
def test_wilsons_interval_is_that_of_scipy(wins, n):
    theirs = stats.binomtest(wins, n).proportion_ci(method="wilson")
    assert wilson(wins / n, n) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 7, 20, 249, 804])
def test_students_quantile_is_that_of_scipy(freedom):
    assert student(0.975, freedom) == pytest.approx(stats.t.ppf(0.975, freedom), rel=2e-3)


def test_what_was_not_seen_in_n_draws_is_that_of_clopper_and_pearson():
    for n in (1, 4, 250):
        assert unseen(n) == pytest.approx(stats.binomtest(0, n).proportion_ci(method="exact").high, abs=1e-12)


def test_the_interval_of_a_mean_stays_inside_what_is_possible():
    low, high = of_mean(97.0, 2.0, 250, (0.0, 100.0))
    assert low == pytest.approx(97.0 - 1.9695 * 2.0, abs=1e-3)
    assert high == 100.0


def test_a_mean_without_spread_has_the_interval_of_what_was_not_seen():
    assert of_mean(0.0, 0.0, 60, (0.0, 100.0)) == (0.0, pytest.approx(100 * unseen(60)))
    assert of_mean(1.0, None, 1, (0.0, 1.0), few=0) == (pytest.approx(0.025), 1.0)
    low, high = of_mean(0.0, 0.0, 4, (0.0, 100.0))
    assert low == 0.0
    assert high >= 100 * unseen(4)
    assert of_mean(1.0, None, 1, (0.0, 1.0)) == (0.0, 1.0)


@pytest.mark.parametrize("n", [2, 5, 10, 49])
def test_few_values_have_students_interval_after_one_more_at_either_bound(n):
    values = [i % 3 / 2 for i in range(n)]
    more = [*values, 0.0, 1.0]
    middle = sum(more) / len(more)
    half = stats.t.ppf(0.975, n + 1) * stats.sem(more)
    low, high = of_few(sum(values) / n, stats.sem(values), n, (0.0, 1.0))
    assert (low, high) == pytest.approx((max(0.0, middle - half), min(1.0, middle + half)), abs=2e-3)
    assert of_mean(sum(values) / n, stats.sem(values), n, (0.0, 1.0)) == (low, high)


def test_from_fifty_values_on_it_is_students_interval():
    low, high = of_mean(0.4, 0.07, FEW, (0.0, 1.0))
    assert (low, high) == pytest.approx((0.4 - 2.0096 * 0.07, 0.4 + 2.0096 * 0.07), abs=1e-4)


def test_a_normal_interval_reaches_1_96_errors():
    assert quantile() == pytest.approx(1.959964, abs=1e-6)
