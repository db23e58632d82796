"""Benchmark questions in training texts."""

from __future__ import annotations

import json
import unicodedata

import polars as pl

from lidr.transforms.contamination import Contamination, Questions, report

LONG = "Janet's ducks lay sixteen eggs per day and she eats three of them for breakfast every single morning."
GERMAN = Questions("mgsm", "de", ["0", "1"], ["Ein Kleid erfordert zwei Knäuel blaue Wolle und halb so viel weiße "
                                              "Wolle, wie viele Knäuel sind es?", "Was ist das?"])  # fmt: skip
ENGLISH = Questions("mgsm", "en", ["0"], [LONG])
JAPANESE = Questions(
    "mgsm", "ja", ["4"], ["ジャネットのアヒルは一日に十六個の卵を産みます。彼女は毎朝三個を朝食に食べます。"]
)


def test_thirteen_words_in_a_row_are_a_question_twelve_are_not():
    look = Contamination([ENGLISH])
    words = LONG.split()
    texts = pl.Series([f"Well: {' '.join(words[2 : 2 + n]).upper()}" for n in (13, 12)])
    assert look(texts) == ["mgsm/en 0", None]


def test_the_first_question_that_a_text_holds_is_named():
    look = Contamination([ENGLISH, GERMAN])
    assert look(pl.Series([f"Also: {GERMAN.texts[0]} Und: {LONG}"])) == ["mgsm/de 0"]


def test_a_short_question_counts_only_as_a_whole_text():
    look = Contamination([GERMAN])
    assert look(pl.Series(["was ist das", "Sag mir: Was ist das?"])) == ["mgsm/de 1", None]


def test_scripts_without_spaces_are_compared_by_characters():
    look = Contamination([JAPANESE])
    text = JAPANESE.texts[0]
    assert look(pl.Series([f"問題: {text[3:31]}", f"問題: {text[3:20]}"])) == ["mgsm/ja 4", None]


def test_a_question_is_found_in_a_text_that_is_said_to_be_in_another_language():
    look = Contamination([ENGLISH, JAPANESE])
    quoted, asked = f"次の問題: {LONG}", f"Translate into English: {JAPANESE.texts[0]}"
    assert look(pl.Series([quoted, asked, "次の問題", "Tea?"])) == ["mgsm/en 0", "mgsm/ja 4", None, None]


def test_a_set_whose_files_do_not_say_their_language_counts_by_its_own_letters():
    look = Contamination([Questions("mine", "en", ["0"], JAPANESE.texts)])
    text = JAPANESE.texts[0]
    assert look(pl.Series([f"問題: {text[3:31]}", f"問題: {text[3:20]}"])) == ["mine/en 0", None]


def test_letters_with_their_accents_apart_are_the_same_letters():
    look = Contamination([GERMAN])
    assert look(pl.Series([unicodedata.normalize("NFD", GERMAN.texts[0])])) == ["mgsm/de 0"]


def test_without_questions_of_a_kind_nothing_is_found():
    assert Contamination([JAPANESE])(pl.Series([LONG])) == [None]


def test_the_report_says_what_went_and_against_what():
    assert report({"mgsm/de 1": 3}, [ENGLISH, GERMAN]) == [
        {"benchmark": "mgsm", "language": "en", "questions": 1, "questions_found": 0, "pairs": 0},
        {"benchmark": "mgsm", "language": "de", "questions": 2, "questions_found": 1, "pairs": 3},
    ]


def test_every_question_of_mgsm_is_found_in_a_text_around_it_and_in_no_answer_of_a_model(data_folder):
    for language in ("de", "ja", "th"):
        lines = (data_folder / f"mgsm/{language}.jsonl").read_text(encoding="utf-8").splitlines()
        texts = [json.loads(line)["query"] for line in lines]
        look = Contamination([Questions("mgsm", language, [str(n) for n in range(len(texts))], texts)])
        found = look(pl.Series([f"({text})" for text in texts]))
        assert [label for n, label in enumerate(found) if label != f"mgsm/{language} {n}"] == []
    others = (data_folder / "llama3_m0/en_to_fr.jsonl").read_text(encoding="utf-8").splitlines()
    answers = pl.Series([json.loads(line)["en2fr_reponse"] for line in others])
    assert set(look(answers)) == {None}
