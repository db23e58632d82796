"""What is known of a number by what stands beside it."""

from __future__ import annotations

import pytest

from lidr.evals.mgsm.passages import Passage


@pytest.mark.parametrize(
    ("language", "text", "bears"),
    [
        ("en", "$18 for 7 days", [True, False]),
        ("en", "7 days, $18", [False, True]),
        ("en", "18 dollars, 7 days", [True, False]),
    ],
)
def test_money_is_told_by_what_stands_before_or_behind_also_at_the_beginning(language, text, bears):
    passage = Passage(text, language)
    assert [passage.bears_money(number) for number in passage.numbers] == bears


@pytest.mark.parametrize(
    ("language", "text", "adjuncts"),
    [
        ("ja", "7日で18ドルです", [True, False]),
        ("en", "in 3 years he has 12 trees", [True, False]),
        ("en", "in 2024 he has 12 trees", [True, False]),
    ],
)
def test_when_and_for_how_many_is_told_by_the_words_of_the_language(language, text, adjuncts):
    passage = Passage(text, language)
    assert [passage.is_adjunct(number) for number in passage.numbers] == adjuncts


@pytest.mark.parametrize(
    ("text", "standings"),
    [
        ("1. Eggs, 18 of them", ["part", "free"]),  # a list begins with 1
        ("18. Eggs, 1 of them", ["free", "free"]),
        ("Eggs:\n4. Wax, 18 grams", ["part", "free"]),
        ("Eggs: 1. Wax, 18 grams", ["free", "free"]),
        ("Eggs:\nShe has 4. Wax, 18 grams", ["free", "free"]),
    ],
)
def test_marks_of_a_list_are_told_at_the_beginning_of_a_line(text, standings):
    assert [number.standing for number in Passage(text, "en").numbers] == standings
