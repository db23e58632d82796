"""What stays the same in both languages is translated; what was left as it was, wholly or in part, is not."""

from __future__ import annotations

from itertools import pairwise

import pytest

from lidr.transforms.against_source import leftovers
from lidr.transforms.plain_translations import read_whole
from lidr.transforms.translations import parse_translation

CODES = ["en", "de", "es", "fr", "ru", "ja", "zh", "th"]

HIVE = (
    "Bees make honey and wax in the hive.",
    "They store the honey in cells made of wax, and they eat it in winter when there are no flowers around them.",
    "The queen lays all the eggs of the colony and lives for several years in the same hive.",
)
STOCK = (
    "Bienen machen Honig und Wachs im Bienenstock und leben dort zusammen.",
    "Sie lagern den Honig in Zellen aus Wachs und essen ihn im Winter, wenn es keine Blumen gibt.",
    "Die Königin legt alle Eier des Volkes und lebt mehrere Jahre lang in demselben Bienenstock.",
)
THIRD = "La reine pond tous les oeufs de la colonie et vit plusieurs années dans la même ruche avec ses soeurs."


def status(text: str, source: str, target: str | None = "de", candidates: list[str] | None = None) -> str:
    codes = CODES if candidates is None else candidates
    found = parse_translation(f"{text}\n</translated>", "stop", source, target=target, candidates=codes).status
    assert found == read_whole(text, source, target=target, candidates=codes).status  # one rule for every translator
    return found


@pytest.mark.parametrize("target", ["de", "es", "fr", "ru", "ja", "zh", "th", None])
@pytest.mark.parametrize(
    "text",
    [
        "x = 4",
        r"$x = \frac{1}{2}$",
        r"\[ \int_0^1 x^2 \, dx = \frac{1}{3} \]",
        "42",
        "3.14",
        "$1,250.00",
        "12/25/2024",
        "a^2 + b^2 = c^2",
        "f(x) = sin(x) + cos(x)",
        "E = mc²",
        "C6H12O6 + 6 O2 -> 6 CO2 + 6 H2O",
        'print("Hello, world")',
        "for i in range(10):\n    total += i",
        "def add(first, second):\n    return first + second",
        "SELECT name FROM users WHERE age > 30",
        "git push origin main",
        "pip install requests",
        "```python\nprint(total)\n```",
        "https://example.org/a/long/path",
        "info@example.org",
        "Albert Einstein",
        "Leonardo da Vinci",
        "Ludwig van Beethoven",
        "Rio de Janeiro",
        "Paris",
        "Microsoft Excel 2016",
        "JPMorgan Chase & Co.",
        "NASA",
        "H2O",
        "- Marie Curie\n- Isaac Newton\n- Ada Lovelace",
        "A",
        "π ≈ 3.14159",
        "🐝🐝",
        "<b>42</b>",
    ],
)
def test_what_is_the_same_in_both_languages_is_ok(text, target):
    assert status(text, text, target) == "ok"


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("Bees make honey.", "de"),
        ("Bees make honey.", None),
        ("bees make honey", "ja"),
        ("Good morning!", "es"),
        ("Die Bienen machen Honig.", "en"),
        ("The answer is 42.", "ru"),
        ("Albert Einstein was a physicist.", "fr"),
        ("**Answer:** The bees make honey.\n\n$x = 4$", "de"),
        ("Пчёлы делают мёд.", "en"),
        ("Пчёлы", "en"),
        ("蜜蜂在蜂巢里制造蜂蜜和蜂蜡。", "en"),
        ("ผึ้งทำน้ำผึ้ง", "en"),
        ("蜜蜂", "en"),
    ],
)
def test_prose_that_comes_back_is_copied(text, target):
    assert status(text, text, target) == "copied_source"


def test_a_paragraph_that_stays_in_the_source_language_is_seen_wherever_it_stands():
    for kept in range(3):
        text = "\n\n".join(HIVE[at] if at == kept else STOCK[at] for at in range(3))
        expected = "ok" if kept == 0 else "copied_source"  # the first has 29 letters: too few to be sure
        assert status(text, "\n\n".join(HIVE)) == expected, kept
    assert status("\n\n".join(STOCK), "\n\n".join(HIVE)) == "ok"


def test_half_of_one_paragraph_is_seen_too_and_without_a_language_to_check():
    half = f"{STOCK[0]} {STOCK[1]} {HIVE[2]}"
    for target in ("de", None):
        assert status(half, " ".join(HIVE), target) == "copied_source"
    assert status(
        "Bienen machen Honig. They store it in small cells.", "Bees make honey. They store it in small cells."
    ) == ("copied_source")


def test_a_long_paragraph_in_a_third_language_or_reworded_is_the_wrong_language():
    other = "The queen of the bees is the mother of all the others, and she stays for years in one and the same hive."
    for last in (THIRD, other):
        assert status("\n\n".join((*STOCK[:2], last)), "\n\n".join(HIVE)) == "wrong_language"


def test_what_is_foreign_in_the_source_already_may_stay():
    poem = "Sous le pont Mirabeau coule la rivière, et nos amours, faut-il que je m'en souvienne encore"
    source = f"Here is a poem that I wrote for you about the river and love:\n\n{poem}\n\n{HIVE[1]}"
    text = f"Hier ist ein Gedicht, das ich für dich über den Fluss und die Liebe schrieb:\n\n{poem}\n\n{STOCK[1]}"
    assert status(text, source) == "ok"


def test_code_and_names_inside_a_translation_do_not_count():
    code = "for name in names:\n    print(name.upper(), len(name), sorted(name), reversed(name), name.title())"
    names = "Albert Einstein, Isaac Newton, Marie Curie, Ada Lovelace, Alan Turing, Emmy Noether, Niels Bohr"
    for block in (code, f"```\n{HIVE[2]}\n```", names):
        assert status(f"{STOCK[1]}\n\n{block}\n\n{STOCK[2]}", f"{HIVE[1]}\n\n{block}\n\n{HIVE[2]}") == "ok"


LONGER_HIVE = " ".join(
    (*HIVE, "Every worker of the hive has a duty of its own, which changes with the age of the bee.")
)
LONGER_STOCK = " ".join(
    (*STOCK, "Jede Arbeiterin im Stock hat ihre eigene Aufgabe, und diese wechselt mit dem Alter der Biene.")
)


def test_one_foreign_sentence_inside_a_long_paragraph_is_less_than_half_of_it():
    assert status(f"{LONGER_STOCK} {THIRD}", f"{LONGER_HIVE} They love their sisters.") == "ok"


def test_a_line_that_is_no_sentence_does_not_hide_what_stands_behind_it():
    text, source = ("Albert Einstein", *STOCK[:2], THIRD), ("Albert Einstein", *HIVE)
    assert status("\n\n".join(text), "\n\n".join(source)) == "wrong_language"


def test_short_sentences_of_a_paragraph_are_judged_together_and_no_others_with_them():
    source = "\n\n".join((*HIVE[1:], "She lays eggs. She lives in the hive for long."))
    for last, expected in (
        ("Elle pond des oeufs. Elle vit longtemps dans la ruche.", "ok"),  # 43 letters
        ("Elle pond tous ses oeufs ici. Elle vit très longtemps dans la ruche avec ses soeurs.", "wrong_language"),
        ("Sie legt Eier. Sie lebt lange im Stock.", "ok"),
    ):
        assert status("\n\n".join((*STOCK[1:], last)), source) == expected, last
    third = "\n\n".join((STOCK[1], THIRD, "Sie legt Eier. Sie lebt lange im Stock."))
    assert status(third, source) == "wrong_language"


def test_without_other_candidates_nothing_is_taken_for_foreign_in_the_source():
    assert status("\n\n".join((*STOCK[:2], THIRD)), "\n\n".join(HIVE), candidates=[]) == "wrong_language"


def test_a_sign_that_stands_for_a_syllable_or_a_word_counts_as_several_letters():
    assert leftovers._letters(["ab c", "蜂蜜", "蜂蜜 ab", ""]) == [3, 2 * leftovers._EACH, 2 * leftovers._EACH + 2, 0]


def test_many_at_once_are_told_as_each_alone():
    words = (*HIVE, *STOCK, THIRD, "x = 4", "", "Пчёлы делают мёд.", "เขามีแอปเปิ้ล 18 ลูก", "```\nprint(1)\n```")
    texts = [*words, *(f"{one}\n\n{other}" for one, other in pairwise(words))]
    rows = [
        (text, source, target)
        for at, text in enumerate(texts)
        for source in (texts[at - 1], text, texts[at // 2])
        for target in ("de", "ru", None)
    ]
    alone = [leftovers.untranslated(*row, CODES) for row in rows]
    assert leftovers.untranslated_all(rows, CODES) == alone
    assert {*alone} == {None, "copied_source", "wrong_language"}
