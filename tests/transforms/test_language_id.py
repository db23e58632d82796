import json
import unicodedata
from pathlib import Path

import lingua
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lidr.errors import RowError
from lidr.languages import LANGUAGES
from lidr.transforms.detection import OTHER
from lidr.transforms.language_id import has_other_script, identify, language_of, letters, prose, script_share

SENTENCES = {
    "en": "The bees keep their honey in small wax cells for the winter.",
    "es": "Las abejas guardan la miel en pequeñas celdas de cera para el invierno.",
    "fr": "Les abeilles gardent leur miel dans de petites alvéoles pour l'hiver.",
    "de": "Die Bienen bewahren den Honig in kleinen Waben für den Winter auf.",
    "ru": "Пчёлы хранят мёд на зиму в маленьких восковых сотах.",
    "ja": "ミツバチは冬に備えて、小さな巣房に蜂蜜を蓄えます。",
    "zh": "蜜蜂把蜂蜜储存在小小的蜂巢里，作为冬天的食物。",
    "th": "ผึ้งเก็บน้ำผึ้งไว้ในรังเล็กๆ เพื่อเป็นอาหารในฤดูหนาว",
    "ar": "يخزن النحل العسل في خلايا شمعية صغيرة ليكون طعاما في الشتاء.",
    "hi": "मधुमक्खियाँ सर्दियों के लिए छोटे छत्तों में शहद जमा करती हैं।",
}

HTML = '<!DOCTYPE html>\n<html lang="en">\n<body class="page">'


def share(text: str, *codes: str) -> float | None:
    value: float | None = pl.select(script_share(pl.lit(text), *codes)).item()
    return value


@pytest.mark.parametrize("code", SENTENCES)
def test_a_sentence_is_identified_among_ten_languages(code: str) -> None:
    assert language_of(SENTENCES[code], list(SENTENCES)) == code


def test_a_column_is_answered_row_by_row_in_its_order() -> None:
    texts = pl.Series([SENTENCES["ru"], None, "", SENTENCES["de"], "42"])
    found = identify(texts, ["de", "ru"])
    assert found.columns == ["language", "confidence"]
    assert found["language"].to_list() == ["ru", None, None, "de", None]
    assert [value is None for value in found["confidence"]] == [False, True, True, False, True]


def test_no_texts_give_no_rows() -> None:
    assert identify(pl.Series([], dtype=pl.String), ["de"]).shape == (0, 2)


@pytest.mark.parametrize("text", ["", " \n", "7 · 6 = 42", "👍👍👍👍👍👍👍👍👍👍👍", "Ja.", "…!?", "१२३४५६७८९०१२"])
def test_a_text_of_fewer_than_ten_letters_is_undecidable(text: str) -> None:
    assert language_of(text, ["de", "hi"]) is None


def test_english_is_always_a_candidate() -> None:
    assert language_of(SENTENCES["en"], ["ja", "ru"]) == "en"


def test_a_script_of_no_candidate_is_other_and_not_undecidable() -> None:
    found = identify(pl.Series([SENTENCES["hi"], SENTENCES["ru"]]), ["es", "fr"])
    assert found["language"].to_list() == [OTHER, OTHER]
    assert found["confidence"].to_list() == [1.0, 1.0]


def test_half_of_one_script_and_half_of_another_is_undecidable() -> None:
    # 14 Cyrillic letters, 12 Latin ones: 14 / 26 = .54 are of no candidate's script, too few for .8
    assert language_of("мёд воск пчела ул honey wax bees", ["es", "fr"]) is None


@pytest.mark.parametrize(
    "code_around",
    [
        "```python\nfor number in the_list_of_numbers:\n    print(number)\n```",
        "```\nthe code was cut here and never ended",
        "`SELECT name FROM customers WHERE country`",
        "https://example.org/the/history/of/honey/and/bees",
        HTML,
        "write.to.the.keeper@example.org",
    ],
)
def test_code_links_and_markup_do_not_count_as_english(code_around: str) -> None:
    assert language_of(code_around, ["de"]) is None
    assert language_of(f"{SENTENCES['de']}\n{code_around}", ["de", "fr"]) == "de"


def test_a_link_ends_where_chinese_goes_on_without_a_space() -> None:
    assert pl.select(prose(pl.lit("请看https://example.org/a。蜜蜂"))).item() == "请看 。蜜蜂"


def test_tex_commands_are_no_words() -> None:
    assert pl.select(prose(pl.lit(r"\frac{1}{2} и \alpha"))).item() == " {1}{2} и  "


def test_less_than_and_greater_than_are_no_markup() -> None:
    assert pl.select(prose(pl.lit("1 < 2 und 3 > 2"))).item() == "1 < 2 und 3 > 2"


@pytest.mark.parametrize(
    ("text", "code", "expected"),
    [
        ("мёд и wax", "ru", 4 / 7),
        ("мёд и wax", "en", 3 / 7),
        ("日本語とカタカナー", "ja", 1.0),  # kanji, kana; the long-vowel mark belongs to no script
        ("日本語とカタカナー", "zh", 3 / 8),
        ("น้ำผึ้ง", "th", 1.0),  # vowel and tone marks are no letters
        ("شهد 12", "ar", 1.0),
        ("शहद honey", "hi", 3 / 8),
        ("12 + 30 = 42 👍", "ru", None),
    ],
)
def test_script_share_is_worked_by_hand(text: str, code: str, expected: float | None) -> None:
    assert share(text, code) == expected


def test_script_share_of_several_languages_adds_their_scripts() -> None:
    assert share("мёд и wax", "ru", "en") == 1.0


@settings(deadline=None)
@given(st.text(max_size=60), st.sampled_from(sorted(LANGUAGES)))
def test_another_script_is_there_exactly_when_the_share_is_below_one(text: str, code: str) -> None:
    frame = pl.DataFrame({"text": [text.encode("utf-8", "replace").decode()]})
    share, other = frame.select(
        share=script_share(pl.col("text"), code), other=has_other_script(pl.col("text"), code)
    ).row(0)
    assert other == (share is not None and share < 1)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=80), max_size=4))
def test_every_text_gets_a_row_and_what_is_undecidable_for_many_is_so_for_one(texts: list[str]) -> None:
    found = identify(pl.Series(texts, dtype=pl.String), ["de", "ru"])["language"].to_list()
    assert found == [language_of(text, ["de", "ru"]) for text in texts]


def test_a_megabyte_is_identified() -> None:
    assert language_of(SENTENCES["fr"] * 15_000, ["fr", "es"]) == "fr"


def test_combining_marks_do_not_hide_the_language() -> None:
    decomposed = unicodedata.normalize("NFD", "Les abeilles préfèrent l'été, où les fleurs étaient ouvertes.")
    assert "\u0301" in decomposed
    assert language_of(decomposed, ["fr", "de"]) == "fr"


def test_letters_are_those_of_scripts() -> None:
    assert pl.select(letters(pl.lit("a1 ё-ー字😀́"))).item() == "aё字"


def test_an_unknown_code_is_named_with_a_hint() -> None:
    with pytest.raises(RowError, match='cannot identify languages: unknown language code "fra"; did you mean "fr"'):
        identify(pl.Series(["Bonjour"]), ["en", "fra"])


def test_english_alone_is_nothing_to_choose_from() -> None:
    with pytest.raises(RowError, match='the only candidate is "en"; give at least one other language'):
        language_of("Good morning", ["en"])


def test_the_detector_knows_every_language_of_the_table() -> None:
    known = {language.iso_code_639_1.name.lower() for language in lingua.Language.all()}
    assert set(LANGUAGES) <= known


def test_nine_hundred_and_ninety_in_a_thousand_mgsm_questions_are_decided_and_none_is_wrong(data_folder: Path) -> None:
    files = sorted(Path(data_folder, "mgsm").glob("??.jsonl"))
    rows = [(file.stem, json.loads(line)["query"]) for file in files for line in file.read_text("utf-8").splitlines()]
    expected = pl.Series([code for code, _ in rows])
    found = identify(pl.Series([text for _, text in rows]), [file.stem for file in files])["language"]
    assert len(rows) == 2000
    assert found.null_count() <= 20
    assert (found != expected).sum() == 0
