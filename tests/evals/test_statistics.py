from __future__ import annotations

import math
import time
import tracemalloc
from statistics import NormalDist

import numpy as np
import pytest

from lidr.evals import statistics
from lidr.evals.statistics import ALL, GAP_ERRORS, UNDEFINED, Panel, drawn_counts, interval, paired, resampled_means
from lidr.intervals import FEW, student, unseen
from tests.evals.coverage import CONTROLLED, DIFFERENCES, closed_covered, controlled_covered, covered

LANGUAGES = ("en", "es", "de")


def correlated(
    shares: list[float], items: int, *, seed: int, models: int = 2, within: float = 0.7, lift: float = 0.0
) -> np.ndarray:
    """Right or wrong, (models, items, languages); `within` of an item's ease is the same in every language."""
    cut = NormalDist().inv_cdf
    random = np.random.default_rng(seed)
    hard = random.standard_normal((1, items, 1))
    own = random.standard_normal((models, items, len(shares)))
    ease = math.sqrt(within) * hard + math.sqrt(1 - within) * own
    cuts = np.array([[cut(1 - share - m * lift) for share in shares] for m in range(models)])
    return (ease > cuts[:, None, :]).astype(float)


def panel(values: np.ndarray, span: tuple[float, float] | None = (0.0, 1.0)) -> Panel:
    models, items, languages = values.shape
    return Panel(
        tuple(f"M{m}" for m in range(models)), LANGUAGES[:languages], tuple(map(str, range(items))), values, span
    )


def with_holes(values: np.ndarray, share: float = 0.1) -> np.ndarray:
    holes = np.random.default_rng(3).random(values.shape) < share
    return np.where(holes, np.nan, values)


def test_the_resampled_means_are_those_of_a_plain_loop_with_the_same_draws():
    values = with_holes(np.random.default_rng(0).random((40, 6)))
    ours = resampled_means(values, resamples=200, seed=5)
    counts = drawn_counts(np.random.default_rng(5), 200, 40)
    for resample in range(200):
        rows = np.repeat(np.arange(40), counts[resample].astype(int))
        drawn = values[rows]
        for column in range(6):
            of = [value for value in drawn[:, column] if not math.isnan(value)]
            assert ours[resample, column] == pytest.approx(sum(of) / len(of), abs=1e-12)


def test_counts_add_up_to_the_number_of_items():
    counts = drawn_counts(np.random.default_rng(0), 500, 33)
    assert (counts.sum(axis=1) == 33).all()
    assert counts.mean() == pytest.approx(1.0)
    assert counts.var() == pytest.approx(1 - 1 / 33, abs=0.05)


def test_the_size_of_the_blocks_changes_nothing(monkeypatch):
    values = with_holes(np.random.default_rng(0).random((50, 4)))
    whole = resampled_means(values, resamples=1000, seed=1)
    monkeypatch.setattr(statistics, "_CELLS", 333)
    parts = resampled_means(values, resamples=1000, seed=1)
    assert np.abs(parts - whole).max() < 1e-12  # BLAS may add up a block of another height in another order


def test_memory_does_not_grow_with_the_number_of_resamples():
    values = np.random.default_rng(0).random((805, 5))
    peaks = []
    for resamples in (2_500, 10_000):
        tracemalloc.start()
        resampled_means(values, resamples=resamples)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 64 * 2**20
    assert peaks[1] - peaks[0] < 2**20


def test_ten_thousand_resamples_of_all_of_x_alpacaeval_take_about_two_seconds_of_one_core():
    values = Panel(
        ("M0", "M1"),
        ("en", "es", "ru", "de", "fr"),
        tuple(map(str, range(805))),
        np.random.default_rng(0).random((2, 805, 5)),
    )
    began = time.process_time()
    paired(values, baseline="M0", dominant="en", resamples=10_000)
    assert time.process_time() - began < 4.0


def test_equal_seeds_give_equal_intervals_and_others_do_not():
    values = panel(correlated([0.6, 0.4, 0.5], 60, seed=1))
    assert paired(values, baseline="M0", dominant="en") == paired(values, baseline="M0", dominant="en")
    assert paired(values, baseline="M0") != paired(values, baseline="M0", seed=1)


def test_a_single_score_has_the_usual_standard_error():
    values = correlated([0.6, 0.4, 0.5], 250, seed=2)
    scores = paired(panel(values), baseline="M0").scores["M1"]
    for place, language in enumerate(LANGUAGES):
        column = values[1, :, place]
        assert scores[language].value == pytest.approx(column.mean(), abs=1e-12)
        assert scores[language].stderr == pytest.approx(column.std(ddof=1) / math.sqrt(250), abs=1e-12)


def test_the_error_of_the_mean_over_languages_agrees_with_its_resamples():
    values = with_holes(correlated([0.6, 0.4, 0.5], 400, seed=3))
    found = paired(panel(values), baseline="M0").scores["M0"][ALL]
    flat = resampled_means(values[0], resamples=10_000)
    assert found.stderr == pytest.approx(flat.mean(axis=1).std(), rel=0.03)


def test_a_difference_is_antisymmetric():
    values = with_holes(correlated([0.6, 0.4, 0.5], 80, seed=4, lift=0.1))
    there = paired(panel(values), baseline="M0").differences["M1"]
    back = paired(panel(values), baseline="M1").differences["M0"]
    for language in (*LANGUAGES, ALL):
        a, b = there[language], back[language]
        assert (a.value, a.low, a.high) == pytest.approx((-b.value, -b.high, -b.low), abs=1e-9)
        assert (a.n, a.stderr) == (b.n, pytest.approx(b.stderr))


def test_neither_the_order_of_models_nor_of_languages_matters():
    values = correlated([0.6, 0.4, 0.5], 80, seed=4, lift=0.1)
    there = paired(panel(values), baseline="M0", dominant="en")
    turned = Panel(("M1", "M0"), ("de", "es", "en"), panel(values).items, values[::-1, :, ::-1])
    back = paired(turned, baseline="M0", dominant="en")
    for name in ("scores", "differences", "gaps", "closed"):
        for model, row in getattr(there, name).items():
            for language, one in row.items():
                other = getattr(back, name)[model][language]
                for part in ("value", "low", "high", "stderr"):
                    assert getattr(one, part) == pytest.approx(getattr(other, part), abs=1e-9), (name, model, language)


def test_a_model_compared_with_itself_differs_by_nothing():
    one = correlated([0.6, 0.4, 0.5], 250, seed=5)[:1]
    found = paired(panel(np.concatenate([one, one])), baseline="M0").differences["M1"][ALL]
    assert found.value == 0
    assert not found.excludes_zero
    assert found.high == pytest.approx(unseen(250))
    assert found.low == pytest.approx(-unseen(250))


def test_the_interval_of_a_mean_over_correlated_languages_is_wider_than_one_that_takes_them_for_independent():
    values = correlated([0.6, 0.4, 0.5], 500, seed=6, within=0.9)
    clustered = paired(panel(values), baseline="M0").scores["M0"][ALL]
    alone = [values[0, :, i].std(ddof=1) / math.sqrt(500) for i in range(3)]
    naive = math.sqrt(sum(e**2 for e in alone)) / 3
    assert clustered.stderr > 1.4 * naive
    assert clustered.high - clustered.low > 1.4 * 2 * 1.96 * naive


def test_pairing_makes_the_interval_of_a_difference_narrower():
    values = correlated([0.6, 0.4, 0.5], 500, seed=7, within=0.9, lift=0.05)
    found = paired(panel(values), baseline="M0").differences["M1"]["en"]
    unpaired = math.hypot(*(values[m, :, 0].std(ddof=1) / math.sqrt(500) for m in (0, 1)))
    assert found.stderr < 0.7 * unpaired


@pytest.mark.parametrize(("items", "most"), [(15, 1.0), (100, 0.99)])  # of few items they are wider than need be
def test_intervals_cover_the_truth_as_often_as_they_say(items, most):
    """Binary answers, correlated over languages: the truth is known, 95 of 100 intervals should hold it."""
    trials, inside = 300, {"score": 0, "mean": 0, "difference": 0}
    for trial in range(trials):
        values = correlated([0.6, 0.4, 0.5], items, seed=1000 + trial, within=0.6, lift=0.1)
        found = paired(panel(values), baseline="M0", resamples=600)
        truths = {
            "score": (found.scores["M0"]["es"], 0.4),
            "mean": (found.scores["M1"][ALL], 0.6),
            "difference": (found.differences["M1"][ALL], 0.1),
        }
        for name, (e, truth) in truths.items():
            inside[name] += e.low - 1e-12 <= truth <= e.high + 1e-12
    for name, count in inside.items():
        assert 0.93 <= count / trials <= most, (name, count / trials)


@pytest.mark.parametrize("items", [3, 5, 10, 30])
@pytest.mark.parametrize("name", list(DIFFERENCES))
def test_the_interval_of_a_paired_difference_of_few_items_does_not_lie(name, items):
    found = covered(name, items, trials=400, resamples=0)
    assert found.share >= 0.93, found


@pytest.mark.parametrize("items", [4, 16, 49])
@pytest.mark.parametrize("name", list(CONTROLLED))
def test_the_interval_of_a_length_controlled_rate_of_few_items_does_not_lie(name, items):
    rate, difference = controlled_covered(name, items, trials=150)
    assert rate >= 0.93, rate
    assert difference >= 0.93, difference


def test_before_it_did():
    """What the few items are treated apart for: a difference of 2 and 1 in ten, at ten items."""
    assert covered("binary .10 .05", 10, trials=400).old < 0.88


@pytest.mark.parametrize("gap", [0.0, 0.03, 0.1])
def test_no_interval_of_a_closed_gap_lies_where_the_gap_is_near_zero(gap):
    found = closed_covered(gap, 0.0, items=150, trials=300)
    assert found.missed <= 0.05, found


def test_the_interval_of_a_closed_gap_holds_where_there_is_one():
    found = closed_covered(0.4, 0.5, items=150, trials=300)
    assert found.shown > 0.9
    assert 0.92 <= 1 - found.missed / found.shown <= 0.99


def test_the_interval_of_a_closed_gap_is_that_of_the_ratios_that_a_test_does_not_reject():
    values = correlated([0.8, 0.4], 200, seed=5, lift=0.1)
    found = paired(panel(values), baseline="M0", dominant="en")
    closed, gaps = found.closed["M1"]["es"], values[:, :, 0] - values[:, :, 1]
    for bound in (closed.low, closed.high):
        left = gaps[1] - (1 - bound) * gaps[0]
        error = left.std(ddof=1) / math.sqrt(200)
        assert abs(left.mean()) / error == pytest.approx(student(0.975, 199), rel=1e-6)


def test_a_share_of_a_gap_has_no_interval_of_few_items_or_of_a_gap_near_zero():
    few = paired(panel(correlated([0.9, 0.2], FEW - 1, seed=5)), baseline="M0", dominant="en").closed["M1"]["es"]
    enough = paired(panel(correlated([0.9, 0.2], FEW, seed=5)), baseline="M0", dominant="en").closed["M1"]["es"]
    assert (few.value is None, few.low, few.high, few.n) == (False, None, None, FEW - 1)
    assert enough.low < enough.value < enough.high
    values = correlated([0.9, 0.2], 60, seed=5)
    values[1, FEW - 1 :, 1] = np.nan  # of the model alone, the baseline has them all
    fewer = paired(panel(values), baseline="M0", dominant="en").closed["M1"]["es"]
    assert (fewer.value is None, fewer.low, fewer.high, fewer.n) == (False, None, None, FEW - 1)
    near = paired(panel(correlated([0.6, 0.54], 400, seed=2)), baseline="M0", dominant="en")
    gap, closed = near.gaps["M0"]["es"], near.closed["M1"]["es"]
    assert 2 < gap.value / gap.stderr < GAP_ERRORS
    assert (closed.value is None, closed.low, closed.high) == (False, None, None)


def test_a_gap_rests_on_as_many_items_as_the_language_that_has_fewer():
    values = correlated([0.6, 0.4, 0.5], 80, seed=8)
    values[:, :30, 1] = np.nan
    found = paired(panel(values), baseline="M0", dominant="en")
    assert (found.gaps["M0"]["es"].n, found.closed["M1"]["es"].n) == (50, 50 if found.closed["M1"]["es"].value else 0)
    assert found.gaps["M0"]["de"].n == 80


def test_the_covariance_of_two_numbers_is_corrected_for_the_one_of_fewer_items():
    more, fewer = (statistics._Statistic(0.0, np.zeros(1), np.array([0.1, -0.2, 0.1]), n) for n in (3, 2))
    for one, other in ((more, fewer), (fewer, more)):
        assert one.covariance(other) == pytest.approx(0.06 * 2 / 1)
    assert more.stderr == pytest.approx(math.sqrt(0.06 * 3 / 2))


def test_of_three_models_each_is_compared_with_the_baseline():
    values = correlated([0.6, 0.4], 60, seed=9, models=3, lift=0.1)
    together = paired(panel(values), baseline="M1", dominant="en")
    assert set(together.differences) == {"M0", "M2"}
    for m in (0, 2):
        difference = together.differences[f"M{m}"]["es"]
        assert difference.value == pytest.approx((values[m] - values[1])[:, 1].mean())
        alone = paired(panel(values[[1, m]]), baseline="M0", dominant="en")
        assert difference.stderr == pytest.approx(alone.differences["M1"]["es"].stderr)
        assert together.gaps[f"M{m}"] == alone.gaps["M1"]


def test_what_was_not_scored_counts_nowhere():
    values = correlated([0.6, 0.4, 0.5], 50, seed=8)
    values[0, :10, 1] = np.nan
    found = paired(panel(values), baseline="M0")
    assert found.scores["M0"]["es"].value == pytest.approx(values[0, 10:, 1].mean())
    assert found.scores["M0"]["es"].n == 40
    assert found.scores["M0"][ALL].n == 50  # each in some language
    assert found.differences["M1"]["es"].value == pytest.approx((values[1, 10:, 1] - values[0, 10:, 1]).mean())
    assert found.differences["M1"]["es"].n == 40
    means = [np.nanmean(values[0, :, i]) for i in range(3)]
    assert found.scores["M0"][ALL].value == pytest.approx(np.mean(means))


def test_a_language_without_any_score_has_no_number_and_neither_has_the_mean():
    values = correlated([0.6, 0.4, 0.5], 50, seed=8)
    values[1, :, 2] = np.nan
    found = paired(panel(values), baseline="M0", dominant="en")
    assert found.scores["M1"]["de"] == UNDEFINED
    assert found.differences["M1"]["de"] == UNDEFINED
    assert found.scores["M1"][ALL] == UNDEFINED
    assert found.closed["M1"]["de"] == UNDEFINED
    assert found.scores["M1"]["es"].value is not None


def test_the_gap_and_how_much_of_it_closed():
    en, es = np.zeros((2, 100)), np.zeros((2, 100))
    en[:, :80] = 1  # 0.8 both times
    es[0, :40], es[1, :60] = 1, 1  # 0.4, then 0.6
    found = paired(panel(np.stack([en, es], axis=2)), baseline="M0", dominant="en")
    assert found.gaps["M0"]["es"].value == pytest.approx(0.4)
    assert found.gaps["M1"][ALL].value == pytest.approx(0.2)
    closed = found.closed["M1"]["es"]
    assert closed.value == pytest.approx(0.5)
    assert 0.3 < closed.low < 0.5 < closed.high < 0.7
    assert closed.stderr == pytest.approx((closed.high - closed.low) / 3.92, rel=0.1)


def test_no_share_of_a_gap_that_cannot_be_told_from_nothing():
    right = np.arange(60) % 2.0
    values = np.stack([np.stack([right, 1 - right, right], axis=1)] * 2)
    found = paired(panel(values), baseline="M0", dominant="en")
    assert not found.gaps["M0"]["es"].excludes_zero
    assert found.closed["M1"]["es"] == UNDEFINED


def test_without_a_dominant_language_there_are_no_gaps():
    found = paired(panel(correlated([0.6, 0.4], 30, seed=1)), baseline="M0")
    assert (found.gaps, found.closed) == ({}, {})
    alone = paired(panel(correlated([0.6], 30, seed=1)), baseline="M0", dominant="en")
    assert alone.gaps == {}


def test_four_items_that_all_turned_right_do_not_prove_a_difference():
    """By a sign test 2 of 16: what a plain percentile interval of [1, 1] would hide."""
    values = np.stack([np.zeros((4, 1)), np.ones((4, 1))])
    found = paired(panel(values), baseline="M0").differences["M1"]["en"]
    assert (found.value, found.high) == (1.0, 1.0)
    assert found.low == pytest.approx(1 - 2 * unseen(4))
    assert not found.excludes_zero


def test_intervals_of_few_items_are_wider_than_their_percentiles():
    draws = np.random.default_rng(0).standard_normal(100_000)
    few, many = interval(0.0, draws, 5, None), interval(0.0, draws, 800, None)
    assert many == pytest.approx((-1.96, 1.96), abs=0.03)
    assert few[1] > 2.9


def test_an_interval_of_many_items_ends_at_the_bounds_though_resamples_of_a_fit_lie_beyond():
    draws = np.linspace(0.9, 1.2, 1000)
    low, high = interval(0.99, draws, 200, (0.0, 1.0))
    assert 0.9 <= low < 0.99
    assert high == 1.0
    assert interval(0.01, 1.0 - draws, 200, (0.0, 1.0))[0] == 0.0


def test_no_interval_where_nothing_bounds_values_that_are_all_the_same():
    assert interval(3.0, np.full(100, 3.0), 10, None) == (None, None)
    assert interval(0.0, np.empty(0), 0, (0.0, 1.0)) == (None, None)


def test_one_item_says_next_to_nothing():
    found = paired(panel(np.ones((2, 1, 2))), baseline="M0", dominant="en").scores["M0"]["en"]
    assert (found.value, found.stderr, found.n) == (1.0, None, 1)
    assert found.low == 0.0
