"""Answers by someone who had not seen the rules: how many are read right, and none worse than by the last number."""

from __future__ import annotations

import json
from collections import Counter
from decimal import Decimal
from pathlib import Path

import pytest

from lidr.evals.mgsm.mgsm_task import score
from lidr.evals.mgsm.number_reading import read_number
from lidr.evals.mgsm.words.language_words import WORDS

FILE = Path(__file__).parents[2] / "data" / "mgsm_answers_others.jsonl"
ROWS = [json.loads(line) for line in FILE.read_text(encoding="utf-8").splitlines()]
MISREAD = 12  # of 614


def test_answers_of_others_are_read_right():
    wrong = [row for row in ROWS if read_number(row["text"], row["language"]).number != Decimal(row["gold"])]
    assert len(ROWS) == 614
    assert len(wrong) <= MISREAD, wrong


def test_no_language_of_others_is_read_worse_than_by_the_last_number():
    ours, flexible, counts = Counter[str](), Counter[str](), Counter[str]()
    for row in ROWS:
        values = score({"gold": row["gold"]}, row["text"], language=row["language"]).values
        counts[row["language"]] += 1
        ours[row["language"]] += values["acc"] == 1
        flexible[row["language"]] += values["acc_flexible"] == 1
    assert set(counts) == set(WORDS)
    assert min(counts.values()) >= 30
    assert all(ours[language] > flexible[language] for language in WORDS)


@pytest.mark.parametrize(
    ("language", "text", "number"),
    [
        ("en", "She has 40 apples left. Do you want one with 50?", 40),  # a question that closes an answer is no answer
        ("en", "How many are 5 and 7? 12. Is that what you meant?", 12),
        ("en", "Is it 18?", 18),
        ("th", "เธอเหลือ 40 ผล\nอยากลองโจทย์ที่มี 50 ผลไหมครับ", 40),
        ("fr", "Il lui en reste 25.\n\nPour vérifier : 25 × 4 = 100.", 25),
        ("en", "It takes **3 bolts**.\n\n1. Blue: 2 bolts\n2. White: 2 / 2 = 1 bolt", 3),
        ("en", "There are **9** eggs.\n\n9 × 2 = 18", 18),
        ("en", "Answer: Betty needs $5 more after she got $45.", 5),
        ("en", "After she sold 9 eggs she has 12 left.", 12),
        ("en", "There are twelve eggs in the 2 baskets.", 12),
        ("sw", "Pauni 16.\n\nKwa sababu alianza na pauni 2, kisha 6.", 16),
    ],
)
def test_what_stands_beside_an_answer_is_not_taken_for_it(language, text, number):
    assert read_number(text, language).number == number
