from __future__ import annotations

import numpy as np
import pytest

from lidr.evals.compare.metrics import METRICS
from lidr.evals.compare.paired_comparison import Section
from lidr.evals.compare.text_bars import bars, gap_lines
from lidr.evals.statistics import Panel, paired
from lidr.intervals import wilson

ITEMS = 200
ACCURACY = METRICS["mgsm"][0]


def section(before: dict[str, float], after: dict[str, float]) -> Section:
    """Of each language the first so many items are right."""
    languages = tuple(before)
    shares = np.array([[side[code] for code in languages] for side in (before, after)])
    values = (np.arange(ITEMS)[None, :, None] < (shares * ITEMS).round()[:, None, :]).astype(float)
    models, items = ("first", "last"), tuple(map(str, range(ITEMS)))
    numbers = paired(Panel(models, languages, items, values), baseline="first", dominant="en", resamples=200)
    counts = dict.fromkeys(languages, ITEMS)
    return Section("mgsm", "plain", "MGSM", ACCURACY, models, "first", languages, "en", counts, numbers, None)


def test_a_bar_has_the_interval_of_a_share_that_reports_and_cards_have():
    low, high = wilson(0.6, ITEMS)
    lines = list(bars(section({"en": 0.9, "de": 0.5}, {"en": 0.9, "de": 0.6})))
    assert lines[-1].endswith(f"0.600 [{low:.3f}, {high:.3f}]")


def test_a_gap_that_closed_because_the_dominant_language_got_worse_is_said():
    worse = list(gap_lines(section({"en": 0.9, "de": 0.5}, {"en": 0.8, "de": 0.5})))
    assert worse[0].startswith("last: en itself changed by -0.100 [")
    assert worse[0].endswith("and what it loses counts as closed gap too")
    assert "0.400 behind en before, 0.300 after: 25% [" in worse[1]
    better = list(gap_lines(section({"en": 0.9, "de": 0.5}, {"en": 0.9, "de": 0.7})))
    assert [line.partition(":")[0] for line in better] == ["de", "mean"]
    assert "0.200 after: 50%" in better[0]


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_bar_at_either_end_is_drawn(share):
    assert len(list(bars(section({"en": 1.0, "de": share}, {"en": 1.0, "de": share})))) == 5
