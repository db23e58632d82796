"""What a run came to, read from tables of scores."""

from __future__ import annotations

import pyarrow as pa
import pytest

from lidr.evals.results import SCORES
from lidr.rows import arrow_schema
from tests.miniature.tell import accuracies, gains


def table(right):
    rows = [
        {"task": f"lidr_mgsm_{code}", "benchmark": "mgsm", "language": code, "item": str(at), "metric": "acc",
         "value": float(value)}
        for code, values in right.items()
        for at, value in enumerate(values)
    ]  # fmt: skip
    return pa.Table.from_pylist(rows, arrow_schema(SCORES))


BEFORE, AFTER = table({"en": [1] * 40, "de": [1, 0] * 20}), table({"en": [1] * 40, "de": [1] * 40})


def test_a_curve_has_accuracy_and_problems_of_each_language():
    assert accuracies({1: AFTER, 0: BEFORE}) == {
        0: {"en": (1.0, 40), "de": (0.5, 40)},
        1: {"en": (1.0, 40), "de": (1.0, 40)},
    }


def test_a_gain_is_paired_by_problem_and_has_an_interval():
    value, low, high = gains(BEFORE, AFTER)["de"]
    assert value == pytest.approx(0.5)
    assert 0.3 < low < 0.5 < high < 0.7
