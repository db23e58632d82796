"""Pictures of a report: all values lie inside, and names from data are text."""

from __future__ import annotations

import re
from types import SimpleNamespace

import pytest

from lidr.report.pictures import SOFT, Beside, Point, Series, beside_zero, lines_over
from lidr.report.scores.score_sections import loss_picture


def numbers(svg, name):
    return [float(value) for value in re.findall(rf' {name}="([\d.-]+)"', svg)]


@pytest.mark.parametrize("values", [(0.5, 0.9), (0.0, 1.0), (0.3, 0.3), (1.0, 1.0), (0.0, 0.0), (1e-9, 2e-9)])
def test_all_dots_lie_inside_the_picture(values):
    points = tuple(Point(k, v, max(0.0, v - 0.1), min(1.0, v + 0.1)) for k, v in enumerate(values))
    svg = lines_over([Series("de", points)], title="t", x_label="x", x_names=("a", "b"), span=(0.0, 1.0))
    (height,) = numbers(svg, "height")[:1]
    assert len(re.findall("<circle", svg)) == 2
    assert all(0 <= y <= height - 48 for y in numbers(svg, "cy"))
    assert all(52 <= x <= 446 for x in numbers(svg, "cx"))


def test_higher_is_higher_and_one_point_alone_is_drawn():
    svg = lines_over([Series("de", (Point(0, 0.2), Point(1, 0.8)))], title="t", x_label="x", x_names="ab", span=(0, 1))
    low, high = numbers(svg, "cy")
    assert high < low
    alone = lines_over([Series("de", (Point(0, 0.2),))], title="t", x_label="x", x_names="a", span=(0, 1))
    assert len(numbers(alone, "cy")) == 1


def test_names_from_data_are_text():
    svg = lines_over(
        [Series("<b>", (Point(0, 1), Point(1, 2))), Series("es", (Point(0, 1), Point(1, 2)))],
        title='"<script>"', x_label="<i>", span=None,
    )  # fmt: skip
    assert not {"<b>", "<script>", "<i>"} & set(re.findall(r"<\w+>", svg))


def test_a_difference_is_coloured_by_the_side_of_zero_on_which_its_interval_lies():
    rows = [Beside("en", -0.02, -0.03, -0.01), Beside("de", 0.1, 0.05, 0.2), Beside("es", 0.1, -0.05, 0.2),
            Beside("fr", 0.1, None, None)]  # fmt: skip
    svg = beside_zero(rows, title="t")
    assert re.findall(r'<circle.*fill="([^"]+)"', svg) == ["#d55e00", "#009e73", SOFT, SOFT]


def test_losses_are_drawn_of_policies_whose_history_has_them():
    history = [{"loss": 0.7}, {"loss": 0.6}, {"loss": None}]
    records = [
        SimpleNamespace(writes="policy", place="iter_1/train", counts={"history": history}),
        SimpleNamespace(writes="scores", place="iter_1/evaluate", counts={}),
    ]
    assert (loss_picture(records, "loss", "Loss") or "").count("<circle") == 2
    assert loss_picture(records, "margin", "Margin") is None


def test_looks_at_pairs_aside_are_a_line_of_their_own():
    looks = [{"step": 2, "loss": 0.8, "margin": None}, {"step": 3, "loss": 0.9, "margin": None}]
    counts = {"history": [{"loss": 0.7}, {"loss": 0.6}, {"loss": 0.5}], "held_out": {"looks": looks}}
    svg = loss_picture([SimpleNamespace(writes="policy", place="iter_1/train", counts=counts)], "loss", "Loss")
    assert svg.count("<circle") == 3 + 2 + 2  # two stand in the legend
    assert "iter_1/train, held out" in svg
    assert "held out" not in (
        loss_picture([SimpleNamespace(writes="policy", place="p", counts=counts)], "margin", "M") or ""
    )
