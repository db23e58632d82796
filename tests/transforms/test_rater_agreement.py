"""Agreement of raters, against published examples."""

from __future__ import annotations

import random

import pytest

from lidr.transforms.rater_agreement import alpha, different, kappa, squared, with_interval

# Krippendorff (2011), Computing Krippendorff's Alpha-Reliability: four observers, twelve units, missing data.
UNITS = [
    [1, 1, 1],
    [2, 2, 3, 2],
    [3, 3, 3, 3],
    [3, 3, 3, 3],
    [2, 2, 2, 2],
    [1, 2, 3, 4],
    [4, 4, 4, 4],
    [1, 1, 2, 1],
    [2, 2, 2, 2],
    [5, 5, 5],
    [1, 1],
    [3],
]


def test_alpha_is_that_of_the_published_example():
    assert alpha(UNITS, different) == pytest.approx(0.743, abs=5e-4)
    assert alpha(UNITS, squared) == pytest.approx(0.849, abs=5e-4)


def test_alpha_is_one_for_agreement_and_near_zero_for_chance():
    assert alpha([[1, 1], [2, 2], [5, 5]], squared) == 1.0
    rng = random.Random(1)
    by_chance = [[rng.choice("ab"), rng.choice("ab")] for _ in range(4000)]
    assert abs(alpha(by_chance) or 0.0) < 0.05


@pytest.mark.parametrize("ratings", [[], [[1]], [[1, 1], [1, 1]]])
def test_without_two_ratings_or_two_values_there_is_no_alpha(ratings):
    assert alpha(ratings) is None


def test_kappa_is_that_of_the_textbook_table():
    cells = {("y", "y"): 20, ("y", "n"): 5, ("n", "y"): 10, ("n", "n"): 15}
    pairs = [pair for pair, count in cells.items() for _ in range(count)]
    first = {str(i): pair[0] for i, pair in enumerate(pairs)}
    second = {str(i): pair[1] for i, pair in enumerate(pairs)}
    assert kappa(first, second) == pytest.approx(0.4)
    assert kappa({"1": "y"}, {"2": "y"}) is None
    assert kappa({"1": "y"}, {"1": "y"}) is None


def test_the_interval_holds_the_value_is_reproducible_and_narrows_with_more_items():
    rng = random.Random(7)
    many = [[value, value if rng.random() < 0.8 else rng.randint(1, 5)] for value in rng.choices(range(1, 6), k=400)]
    wide, narrow = with_interval(many[:60], alpha, seed=3), with_interval(many, alpha, seed=3)
    for number in (wide, narrow):
        assert number.low <= number.value <= number.high
    assert narrow.high - narrow.low < (wide.high - wide.low) / 2
    assert with_interval(many, alpha, seed=3) == narrow
    assert with_interval([], alpha).value is None


def test_few_items_have_a_value_and_no_interval():
    few = [[1, 1]] * 40 + [[1, 2]] * 9
    assert with_interval(few, alpha) == (alpha(few), None, None, 49)
    assert with_interval([*few, [2, 2]], alpha).low is not None
