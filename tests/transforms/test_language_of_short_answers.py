"""Answers of a word, answers that are nothing but code, and languages that the quick detector rarely sees."""

import json

import polars as pl
import pytest

from lidr.transforms import identify
from lidr.transforms.language_id import language_of


@pytest.mark.parametrize(
    ("asked", "text"),
    [("de", "Ja"), ("de", "Nein."), ("es", "Sí."), ("fr", "Non."), ("nl", "Nee"), ("sw", "Ndiyo."), ("en", "No")],
)
def test_yes_and_no_are_in_the_asked_language(asked, text):
    assert language_of(text, [], asked=asked) == asked


@pytest.mark.parametrize(("asked", "text"), [("de", "Oui"), ("de", "Sí"), ("es", "Nein"), ("en", "Hapana")])
def test_yes_and_no_of_another_language_are_not(asked, text):
    assert language_of(text, [], asked=asked) != asked


@pytest.mark.parametrize(("asked", "text"), [("es", "Ofensivo"), ("pt", "Ofensivo"), ("es", "No ofensivo.")])
def test_a_word_of_several_related_languages_is_the_asked_ones(asked, text):
    assert language_of(text, [], asked=asked) == asked


@pytest.mark.parametrize("text", ["Harry Potter", "Spam", "Demo", "Smart Home", "Canberra"])
@pytest.mark.parametrize("asked", ["de", "es", "fr"])
def test_a_name_and_a_word_of_many_languages_stay_undecided(asked, text):
    assert language_of(text, [], asked=asked) is None


FENCED = "```python\n# {comment}\nprint(a + b)\n```"


@pytest.mark.parametrize(
    ("asked", "text", "found"),
    [
        ("de", FENCED.format(comment="Die Summe der beiden Zahlen wird ausgegeben"), "de"),
        ("de", "```\nArtikel | Anzahl | Preis pro Stück\nHemden  | 2 | 10\n```", "de"),
        ("es", '`=IF(C7="Canadá", "Verdadero", "Falso")`', "es"),
        ("de", FENCED.format(comment="The sum of the two numbers is printed here"), None),
        ("de", "```\nfor i in range(3):\n    print(i)\n```", None),
        ("es", "```\n\\b(?:[0-9]{1,3}\\.){3}[0-9]{1,3}\\b\n```", None),
    ],
)
def test_comments_and_strings_show_the_asked_language_and_never_another(asked, text, found):
    assert language_of(text, [], asked=asked) == found


@pytest.mark.parametrize(
    ("asked", "text", "found"),
    [
        ("fr", "Anna ana tufaha kumi na nane.", "sw"),
        ("de", "Basi lina abiria arobaini na wawili.", "sw"),
        ("es", "Alinunua machungwa kumi sokoni jana.", "sw"),
        ("fr", "Ngicela ungisize ngalo mbuzo.", "zu"),
        ("de", "Waxaan jeclahay inaan akhriyo buugaag badan.", "so"),
        ("fr", "les abers et les korrigans du pays bigouden", "fr"),
        ("es", "ugali, sukuma wiki y nyama choma", "es"),
        ("de", "mal eben Semmeln kaufen", "de"),
    ],
)
def test_a_sentence_in_a_language_that_the_quick_detector_rarely_sees(asked, text, found):
    assert language_of(text, [], asked=asked) == found


@pytest.mark.parametrize("code", ["de", "es", "fr", "ru", "en"])
def test_of_real_answers_at_most_two_per_cent_are_undecided(data_folder, code):
    rows = json.loads((data_folder / f"x_alpacaeval/reference/{code}.json").read_text("utf-8"))
    found = identify(pl.Series([row["output"] for row in rows]), [], asked=code)["language"]
    assert found.null_count() <= 0.02 * len(rows)
