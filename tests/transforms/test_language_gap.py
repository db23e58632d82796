from __future__ import annotations

import pytest

from lidr.transforms.language_gap import agreement, by_lot, chrf, family, kept_share, mean, rise, share

TEXTS = (
    ("Bees make honey and wax.", "Bees make honey"),
    ("Las abejas", "Guardan la miel para el invierno."),
    ("a", "abcdefgh"),
    ("蜜蜂は蜂蜜を作ります", "蜜蜂は蜂蜜と蜜蝋を作ります。"),
    ("Пчёлы делают мёд", "Пчёлы делают мёд и воск"),
)


@pytest.mark.parametrize(("text", "reference"), TEXTS)
def test_chrf_is_sacrebleus(text, reference):
    sacrebleu = pytest.importorskip("sacrebleu")
    assert chrf(text, reference) == pytest.approx(sacrebleu.sentence_chrf(text, [reference]).score, abs=1e-9)


def test_ties_count_in_no_accuracy_and_nothing_decided_is_not_certain():
    found = agreement(agree=8, disagree=2, ties=90)
    assert (found.accuracy.value, found.accuracy.n) == (0.8, 10)
    assert agreement(0, 0, 5).accuracy.value is None
    assert not agreement(0, 0, 5).is_certain
    assert agreement(80, 20, 0).is_certain
    assert not agreement(20, 80, 0).is_certain  # certainly wrong is no signal to train on


def test_a_family_of_tests_has_wider_intervals():
    narrow, wide = share(60, 100), share(60, 100, family(10))
    assert wide.low < narrow.low
    assert wide.high > narrow.high


def test_what_is_not_scored_counts_nowhere():
    assert mean([1.0, None, 3.0], (0, 10)).value == 2.0
    assert mean([1.0, None, 3.0], (0, 10)).n == 2
    assert mean([None], (0, 10)).value is None


@pytest.mark.parametrize("n", [3, 6, 12, 24, 41])  # where the sum of so many tenths is no multiple of a tenth
def test_values_that_are_all_the_same_leave_room_for_what_was_not_seen(n):
    found = mean([0.1] * n, (0.0, 1.0))
    assert found.value == 0.1
    assert found.high - found.value > 0.05


def test_a_series_too_short_for_thirds_has_no_rise():
    assert rise([1.0, 2.0, 3.0, 4.0, 5.0]).value is None


def test_lots_do_not_depend_on_the_order_and_more_of_them_hold_the_fewer():
    names = [f"p{i}" for i in range(20)]
    assert by_lot(names, 5, 1) == by_lot(reversed(names), 5, 1)
    assert by_lot(names, 5, 1) < by_lot(names, 9, 1)
    assert by_lot(names, 5, 1) != by_lot(names, 5, 2)


def test_an_uncertain_group_keeps_its_excess_and_a_wrong_one_nothing():
    assert [kept_share(a) for a in (1.0, 0.75, 0.5, 0.2, None)] == [1.0, 0.5, 0.0, 0.0, 0.0]
