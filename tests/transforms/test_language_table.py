"""The language of 313 short texts, and of the texts that were told wrongly before.

    own         in the asked language, a few words
    near        in a related language, English and repeated, romanised, quoted, long, of another language
    unknowable  numbers, code, names

A third of the table is held back: no threshold was chosen by looking at it.
"""

import json
from pathlib import Path

import polars as pl
import pytest

from lidr.evals import mgsm
from lidr.evals.mgsm.mgsm_task import score_all
from lidr.transforms import identify
from lidr.transforms.detection import OTHER, decide
from lidr.transforms.detection.scripts_and_letters import foreign_letters, writers
from lidr.transforms.language_id import language_of

ROWS = [
    json.loads(line)
    for line in Path(__file__).parents[1].joinpath("data", "language_table.jsonl").read_text("utf-8").splitlines()
]
KINDS = {row["kind"] for row in ROWS}


def told(rows):
    texts = pl.Series([row["text"] for row in rows])
    asked = pl.Series([row["prompt"] for row in rows])
    return identify(texts, [], asked=asked)["language"].to_list()


def outcome(row, found):
    """right, undecided or wrong; of a romanised text everything but the asked language is right."""
    if row["kind"] == "unknowable" or row["language"] == "zxx":
        return "right" if found is None else "undecided" if found == row["prompt"] else "wrong"
    if row["kind"] == "romanised":
        return "wrong" if found == row["prompt"] else "right"
    if found is None:
        return "undecided"
    return "right" if (found == row["prompt"]) == (row["language"] == row["prompt"]) else "wrong"


def count(rows):
    outcomes = [outcome(row, found) for row, found in zip(rows, told(rows), strict=True)]
    return {word: outcomes.count(word) for word in ("right", "undecided", "wrong")}


def test_the_table_has_three_hundred_texts_of_which_a_third_is_held_back():
    assert len(ROWS) == 313
    assert sum(row["held_back"] for row in ROWS) == 104


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_no_text_of_the_tuned_part_is_told_wrongly(kind):
    rows = [row for row in ROWS if row["kind"] == kind and not row["held_back"]]
    assert count(rows)["wrong"] == 0


def test_of_the_texts_held_back_at_most_three_are_told_wrongly_all_of_them_close_relatives():
    held = [row for row in ROWS if row["held_back"]]
    assert count(held)["wrong"] <= 3
    assert count([row for row in held if row["kind"] != "near"])["wrong"] == 0


def test_short_answers_in_the_asked_language_are_decided():
    assert count([row for row in ROWS if row["kind"] == "own"])["right"] >= 82  # of 84


def test_what_cannot_be_known_is_no_alarm():
    assert count([row for row in ROWS if row["kind"] == "unknowable"])["wrong"] == 0


@pytest.mark.parametrize("kind", ["english", "near"])
def test_a_sentence_sixty_times_over_is_told_as_the_sentence_is(kind):
    rows = [row for row in ROWS if row["kind"] == kind][:20]
    assert told([{**row, "text": f"{row['text']} " * 60} for row in rows]) == told(rows)


@pytest.mark.parametrize(
    ("asked", "text", "found"),
    [
        ("es", "A resposta é 18.", "pt"),
        ("ru", "Відповідь: 18.", "uk"),
        ("bn", "উত্তৰ ১৮।", "as"),
        ("te", "ಉತ್ತರ 18.", "kn"),
        ("th", "ใช่", "th"),
        ("ru", "Да", "ru"),
        ("de", "The answer is 18. " * 60, "en"),
        ("th", "The answer is 18.", "en"),
        ("ja", "答案是18美元，还剩9个。", "zh"),
        ("zh", "答えは18です。", "ja"),
        ("ko", "답은 18입니다.", "ko"),
        ("de", "Janet", None),
        ("bn", "Harry Potter", None),
        ("fr", "α + β = γ", None),
    ],
)
def test_the_asked_language_is_told_from_others_however_short_the_text(asked, text, found):
    assert language_of(text, [], asked=asked) == found


def test_the_language_of_a_benchmarks_answer_may_be_one_that_the_benchmark_does_not_have():
    scored = mgsm.score({"item": "0", "gold": "18"}, "A resposta é 18 dólares por dia.", language="es")
    assert scored.detail["detected"] == "pt"
    assert [scored.values[name] for name in ("off_target", "off_target_all", "undecided")] == [1.0, 1.0, 0.0]


def test_off_target_of_all_counts_what_is_undecided_as_not_off_target():
    answers = ["The answer is 18.", "The answer is 9.", "The answer is 7.", "18"]
    rows = [{"item": str(number), "gold": "18"} for number in range(4)]
    scores = mgsm.summarise([one.values for one in score_all(rows, answers, language="de")])
    assert (scores["off_target"].value, scores["off_target"].n) == (1.0, 3)
    assert (scores["off_target_all"].value, scores["off_target_all"].n) == (0.75, 4)
    assert (scores["undecided"].value, scores["undecided"].n) == (0.25, 4)


def test_a_text_of_which_exactly_half_is_in_the_asked_script_is_read_in_it():
    half = "ответ верен также"  # 15 letters beside 15 of lower-case Latin ones
    assert decide(f"{half} answerisnotright"[:-1], "ru").language == "ru"
    assert decide(f"{half} answerisnotright and not there now by far at last or ever so", "ru").language != "ru"


def test_a_late_switch_of_language_is_seen():
    english = "She eats three of the eggs for breakfast and sells all the others at the market. "
    other = "".join(f"{number} times she went there and came back home again with what she had not sold. "
                    for number in range(40))  # fmt: skip
    german = "Sie isst drei der Eier zum Frühstück und verkauft alle anderen auf dem Markt für zwei Dollar. "
    assert language_of(german * 3 + other + english, [], asked="de") == "en"


def test_the_letters_of_an_alphabet_tell_its_language():
    assert foreign_letters("їжак", "ru") == "ї"
    assert foreign_letters("ёлка", "ru") == ""
    assert writers("ў", ["ru", "be", "uk"]) == {"be"}


def test_a_language_outside_the_candidates_is_other_where_none_was_asked_for():
    assert language_of("Відповідь: вісімнадцять доларів.", ["de", "ru"]) == OTHER


@pytest.mark.parametrize("text", ["a" * 10**6, "A b. " * 200_000, '"' * 10**6, "A of the " * 120_000, "(" * 10**6])
def test_a_million_hostile_characters_are_told_in_a_second(text):
    import time

    language_of("Guten Tag, wie geht es Ihnen?", [], asked="de")
    start = time.process_time()
    language_of(text, [], asked="de")
    assert time.process_time() - start < 1.0
