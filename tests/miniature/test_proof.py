"""The claims of the proof in miniature. The long form, `make prove`, takes hours on two cores: LIDR_PROVE=1.

Its numbers go to tests/proofs/miniature.numbers.json.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from tests.miniature.proof import (
    CASES,
    ITERATIONS,
    MOST,
    OTHERS,
    SEEDS,
    SIGNATURES,
    numbers,
    rank_correlation,
    spearman,
)

NUMBERS = Path(__file__).parents[1] / "proofs" / "miniature.numbers.json"
long = pytest.mark.skipif(not os.environ.get("LIDR_PROVE"), reason="a long proof: make prove")


@pytest.fixture(scope="module")
def proof():
    found = numbers()
    NUMBERS.parent.mkdir(exist_ok=True)
    NUMBERS.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return found


@long
@pytest.mark.timeout(0)
@pytest.mark.parametrize("seed", SEEDS)
def test_two_iterations_gain_in_each_weaker_language_and_the_dominant_one_holds(proof, seed):
    gain = proof["cases"][f"main-{seed}"]["gain"]
    assert all(gain[code][1] > 0 for code in OTHERS)
    assert gain["en"][1] > -0.03  # at most 3 points are lost, with confidence


@long
@pytest.mark.timeout(0)
@pytest.mark.parametrize("seed", SEEDS)
def test_swapped_pairs_show_a_loss(proof, seed):
    gain = proof["cases"][f"swapped-{seed}"]["gain"]
    assert all(gain[code][2] < 0 for code in OTHERS)


@long
@pytest.mark.timeout(0)
def test_shuffled_pairs_show_no_gain_over_the_seeds(proof):
    found = [proof["cases"][f"shuffled-{seed}"]["gain"][code][0] for seed in SEEDS for code in OTHERS]
    assert np.mean(found) - 1.96 * np.std(found, ddof=1) / np.sqrt(len(SEEDS)) <= 0
    assert np.mean(found) < 0.03


@long
@pytest.mark.timeout(0)
def test_a_world_of_equal_languages_shows_no_gain(proof):
    gain = proof["cases"]["world-equal"]["gain"]
    assert all(gain[code][1] <= 0 for code in OTHERS)


@long
@pytest.mark.timeout(0)
def test_reward_accuracy_before_training_goes_with_the_gain(proof):
    assert proof["rank_correlation"]["worlds"] >= 6
    assert proof["rank_correlation"]["low"] > 0


@long
@pytest.mark.timeout(0)
def test_five_iterations_saturate_and_the_stop_rule_ends_there(proof):
    means = [np.mean([row[code] for code in OTHERS]) for row in proof["cases"]["five"]["accuracy"].values()]
    steps = np.diff(means)
    assert len(steps) == ITERATIONS
    assert steps[-1] < steps[0] / 10
    assert "saturated" in str(proof["cases"]["until-saturated"]["ending"])
    assert len(proof["cases"]["until-saturated"]["accuracy"]) <= MOST


@long
@pytest.mark.timeout(0)
@pytest.mark.parametrize("signature", SIGNATURES)
def test_each_signature_is_provoked_and_its_gate_fires(proof, signature):
    fired = proof["cases"][SIGNATURES[signature].name]["fired"]
    assert signature in {one["signature"] for one in fired}


def test_rank_correlation_is_one_for_equal_orders_and_minus_one_for_opposite_ones():
    x = np.array([0.1, 0.5, 0.5, 0.9])
    assert spearman(x, x**3) == pytest.approx(1.0)
    assert spearman(x, -x) == pytest.approx(-1.0)
    assert spearman(x, np.zeros(4)) == 0.0


def test_the_interval_of_a_rank_correlation_resamples_whole_worlds():
    points = {str(k): [(k / 7, k / 10), (k / 7 + 0.01, k / 10 + 0.01)] for k in range(7)}
    found = rank_correlation(points, resamples=200)
    assert found["value"] == pytest.approx(1.0)
    assert found["low"] > 0.9
    assert found["points"] == 14
    assert found["worlds"] == 7


def test_every_case_of_the_proof_is_a_recipe_that_can_be_read():
    import lidr
    from lidr.resources import shared

    for case in CASES.values():
        recipe = lidr.load_recipe(shared("recipes") / "miniature.yaml", overrides=case.settings)
        assert recipe.name == "miniature"
