"""Which of several numbers is the answer: one text for each part of a rule, told apart from what is like it."""

from __future__ import annotations

from decimal import Decimal

import pytest

from lidr.evals.mgsm.number_reading import read_number

BOXES = [
    (r"\boxed{18}" + r" \boxed{x}" * 49, 18, "boxed"),
    (r"\boxed{18} 7" + r" \boxed{x}" * 50, 7, "last"),
    (r"\boxed{\text{an 18-day trip on a B-17}}", 18, "boxed"),
    (r"\boxed{\text{seven}}, no, \boxed{\text{eighteen}}", 18, "boxed"),
]

CONCLUDED = [
    # the last sentence with a number outside brackets
    ("en", "She has 12 eggs. She sells 18 of them (9 to a friend).", 18),
    # a label that leads to a sentence
    ("en", "Total for all of the children: Anna has 18 eggs in her basket.", 18),
    ("de", "Summe der Woche: 18 Euro", 18),
    # a first line goes before what follows where it is apart from it, or a number with its unit
    ("en", "She has 18 eggs.\nShe sells 3 of them and then keeps the other 15.", 15),
    ("en", "18 apples in the basket\n\nShe has 3 trees and 40 branches.", 18),
    ("de", "7 Eier\n\nIsst sie 3 davon, bleiben andere für morgen.\nInsgesamt sind es 18.", 18),
    ("en", "She looks for 20 eggs in the garden every day\n\nOn Monday her dog finds 3 and she herself 14 eggs", 14),
    # the answer word of another language
    ("fr", "Antwort: 18\nSie hat 7 Hennen im Stall und 3 Kühe auf der Weide.", 18),
    # an explanation behind words that only say what is asked
    ("en", "How many of her 16 eggs does she sell?\n\nExplanation: She eats 3 and bakes with 4, so she sells 9.", 9),
    ("en", "To find how many of the 16 eggs are left, we subtract.\n\nCalculation: 16 - 3 - 4 = 9", 9),
    # numbers in words up to ten are words of any text
    ("en", "Answer: There are ten of them to share.\nEach gets 18 eggs.", 18),
    ("en", "Answer: three times six makes eighteen eggs.\nShe had 20 of them before.", 18),
    # two numbers far apart make no calculation
    ("en", "Answer: She sells 18 " + "fresh and very large " * 6 + "eggs on 7 days", 18),
    # bold, and the result of a calculation
    ("en", "Answer: She gets 9 × 2 = **18** eggs and keeps **7** hens.", 18),
    ("de", "Antwort: Sie bekommt 9 × 2 = **18** Eier und behält **7** Hennen.", 18),
    # a number that opens a statement which calculates
    ("en", "Answer: 3 children with 2 × 3 = 6 apples", 6),
    ("en", "Answer: " + "1 + " * 17_999 + "1 = 18000", 18000),
]


@pytest.mark.parametrize(("text", "number", "rule"), BOXES, ids=range(len(BOXES)))
def test_of_boxes_the_last_that_holds_a_number_is_read(text, number, rule):
    assert read_number(text, "en")[:2] == (number, rule)


@pytest.mark.parametrize(("language", "text", "number"), CONCLUDED, ids=[row[1][:40] for row in CONCLUDED])
def test_of_the_numbers_of_a_statement_the_one_that_it_is_about_is_read(language, text, number):
    assert read_number(text, language).number == Decimal(number)
