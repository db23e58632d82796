"""Lengths of translations and lost questions, as the filters see them; the bounds on real parallel texts."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import polars as pl
import pytest

from lidr.errors import RowError
from lidr.transforms.against_source import (
    LENGTHS,
    bound_of,
    expected_ratio,
    has_question,
    is_question,
    target_characters,
    translation_length,
)
from lidr.transforms.filters import PairFilter, SourceFacts, source_facts

ENGLISH = "Bees make honey and wax in the hive, and they eat the honey in winter when no flowers are around."
GERMAN = "Bienen machen Honig und Wachs im Stock und essen den Honig im Winter, wenn keine Blumen da sind."


def pair(source: str, text: str, *, kind: str = "non_dominant", key: str = "p/en->de") -> pl.DataFrame:
    own = "p/de"
    sides = {"chosen_text": text, "rejected_text": "Nein.", "chosen_key": key, "rejected_key": own}
    if kind == "dominant":
        sides = {"chosen_text": "No.", "rejected_text": text, "chosen_key": own, "rejected_key": key}
    languages = {"language": "de", "other_language": "en"}
    return pl.DataFrame({"prompt_id": "p", **languages, "kind": kind, "iteration": 1, "prompt_text": "?", **sides})


def dropped(source: str, text: str, *, factor: float | None = None, length: bool = True, **more: str) -> list[str]:
    facts = source_facts(pl.DataFrame({"prompt_id": ["p"], "language": ["en"], "text": [source]}))
    against = SourceFacts(facts, length=length, factor=factor, questions=True)
    rows = PairFilter(languages=["en", "de"], against_source=against)(pair(source, text, **more)).dropped
    return [f"{row['reason']}: {row['detail']}" for row in rows.iter_rows(named=True)]


@pytest.mark.parametrize("kind", ["dominant", "non_dominant"])
def test_a_translation_much_shorter_or_longer_than_its_source_goes_with_the_value_and_the_bounds(kind):
    side = "rejected" if kind == "dominant" else "chosen"
    assert dropped(ENGLISH, GERMAN, kind=kind) == []
    (short,) = dropped(ENGLISH * 3, GERMAN, kind=kind)
    assert short.startswith(f"translation_length: {side} is 0.3")
    assert short.endswith("between 0.45 and 2.2 pass")
    (long,) = dropped(ENGLISH, GERMAN * 4, kind=kind)
    assert "times as long as translations en -> de are (384 of 97 characters)" in long
    assert dropped(ENGLISH, GERMAN * 4, kind=kind, factor=5.0) == []
    assert dropped("Yes.", "Ja, so ist es.") == []  # short texts have room


def test_a_side_that_is_no_translation_is_not_measured():
    assert dropped(ENGLISH * 9, GERMAN, key="p/en") == []


def test_a_question_that_became_an_answer_goes_and_one_that_cannot_be_told_stays():
    asked = "Could you tell me when you usually go to bed, and what you do before?"
    (said,) = dropped(asked, "Ich gehe meist gegen elf Uhr ins Bett und lese vorher noch ein Buch.")
    assert said == "lost_question: chosen asks nothing, and its source (en) ends with a question"
    assert dropped(asked, "Können Sie mir sagen, wann Sie meist ins Bett gehen und was Sie vorher tun?") == []
    assert dropped(f"{asked} I read.", "Ich gehe meist gegen elf Uhr ins Bett, ich lese vorher noch ein Buch.") == []
    assert dropped(asked, "ฉันเข้านอนประมาณสิบเอ็ดโมงและอ่านหนังสือก่อนนอน", length=False, key="p/en->th") == []  # no marks


@pytest.mark.parametrize(
    "text", ["Why?", "Why?\n", 'He said: "Why?"', "为什么？", "لماذا؟", "なぜですか。", "**Why?**"]
)
def test_questions_are_told_by_their_marks(text):
    assert pl.select(is_question(pl.lit(text))).item()
    assert not pl.select(is_question(pl.lit(f"{text} Bees make honey."))).item()


def test_the_mark_is_looked_for_in_the_last_two_hundred_characters():
    found = pl.DataFrame({"text": ["Why?" + "*" * 199, "Why?" + "*" * 200]}).select(is_question(pl.col("text")))
    assert found.to_series().to_list() == [True, False]


def test_a_language_that_is_not_measured_must_be_given():
    with pytest.raises(RowError, match='no length is measured for "sw"; measured: en, de, es'):
        expected_ratio("en", "sw")
    assert expected_ratio("en", "sw", {"sw": 1.1}) == 1.1
    assert bound_of("en", "sw") == 2.2


def test_the_constants_are_those_of_the_table_in_the_module():
    module = sys.modules[bound_of.__module__]
    rows = (line.split() for line in (module.__doc__ or "").splitlines())
    table = {row[0]: (float(row[1]), float(row[2])) for row in rows if len(row) > 3 and row[0] in LENGTHS}
    assert set(table) == set(LENGTHS)
    for code, (characters, bound) in table.items():
        assert (LENGTHS[code].characters, LENGTHS[code].bound) == (pytest.approx(characters, abs=0.006), bound), code


def test_the_bound_of_a_direction_is_the_wider_one_of_its_languages():
    assert [bound_of(*both) for both in (("en", "de"), ("en", "ja"), ("zh", "ja"), ("sw", "zh"))] == [
        2.2,
        2.4,
        3.2,
        3.2,
    ]


def _parallel(data: Path, language: str) -> dict[str, str]:
    lines = (data / "alpagasus" / f"{language}.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    return {row["id"]: row["instruction"] for row in rows}


@pytest.mark.parametrize("language", sorted(set(LENGTHS) - {"en"}))
def test_no_real_translation_lies_outside_and_few_lose_their_question(language, data_folder):
    texts = {code: _parallel(Path(data_folder), code) for code in ("en", language)}
    for source, target in (("en", language), (language, "en")):
        both = [(texts[source][key], texts[target][key]) for key in texts["en"] if texts[source].get(key)]
        frame = pl.DataFrame(both, schema=["source", "text"], orient="row").filter(pl.col("text") != "")
        chars = {name: pl.col(name).str.strip_chars().str.len_chars() for name in ("source", "text")}
        ratio, width = expected_ratio(source, target), target_characters(target)
        times = frame.select(translation_length(chars["text"], chars["source"], ratio, width)).to_series()
        bound = bound_of(source, target)
        assert len(times) > 1_900
        assert times.is_between(1 / bound, bound).all(), (source, target)
        if target != "th":
            asked = frame.filter(is_question(pl.col("source")))
            lost = asked.filter(~has_question(pl.col("text")))
            assert lost.height <= 0.07 * asked.height, (source, target)
