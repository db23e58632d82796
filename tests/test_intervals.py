import pytest
from scipy import stats

from lidr.intervals import of_mean, quantile, student, unseen, wilson


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
    assert of_mean(0.0, 0.0, 4, (0.0, 100.0)) == (0.0, pytest.approx(100 * unseen(4)))
    assert of_mean(1.0, None, 1, (0.0, 1.0)) == (pytest.approx(0.025), 1.0)


def test_a_normal_interval_reaches_1_96_errors():
    assert quantile() == pytest.approx(1.959964, abs=1e-6)
