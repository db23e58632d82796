from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lidr.transforms.bias import UNITS, prompt_kind, selection_bias, units_of_slots
from tests.transforms.released import units_of_translations


def frame(*rows: tuple[str, str, str, int, bool]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=UNITS, orient="row")


def test_fifths_are_of_equal_size_and_within_each_language_of_the_text():
    short = [("es", "question", "en", n, n >= 8) for n in range(10)]
    long = [("es", "question", "es", 1000 + n, n < 2) for n in range(10)]
    report = selection_bias(frame(*short, *long))
    assert report["length"] == [
        {"name": 1, "slots": 4, "dropped": 2, "share": 0.5},
        {"name": 2, "slots": 4, "dropped": 0, "share": 0.0},
        {"name": 3, "slots": 4, "dropped": 0, "share": 0.0},
        {"name": 4, "slots": 4, "dropped": 0, "share": 0.0},
        {"name": 5, "slots": 4, "dropped": 2, "share": 0.5},
    ]
    assert (report["slots"], report["dropped"]) == (20, 4)


def test_means_are_of_what_was_kept_and_of_what_was_dropped():
    report = selection_bias(frame(("es", "code", "en", 10, False), ("es", "code", "en", 31, True)))
    assert report["characters"] == {"kept": 10.0, "dropped": 31.0}
    assert report["prompt_kind"] == [{"name": "code", "slots": 2, "dropped": 1, "share": 0.5}]
    assert report["language"] == [{"name": "es", "slots": 2, "dropped": 1, "share": 0.5}]


def test_nothing_at_all_is_reported_as_nothing():
    report = selection_bias(frame())
    assert (report["slots"], report["dropped"], report["length"]) == (0, 0, [])
    assert report["characters"] == {"kept": None, "dropped": None}


unit = st.tuples(
    st.sampled_from(["es", "de"]), st.sampled_from(["code", "question"]), st.sampled_from(["en", "es"]),
    st.integers(0, 50), st.booleans(),
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.lists(unit, max_size=40))
def test_every_slot_is_counted_once_in_each_table(rows):
    report = selection_bias(frame(*rows))
    for name in ("length", "prompt_kind", "language"):
        assert sum(row["slots"] for row in report[name]) == len(rows)
        assert sum(row["dropped"] for row in report[name]) == sum(row[4] for row in rows)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("What do bees make?", "question"),
        ("蜜蜂は何を作りますか？", "question"),
        ("ماذا يصنع النحل؟", "question"),
        ("Name a bee.", "instruction"),
        ("Sort these numbers.\n3, 1, 2", "with_input"),
        ("Explain this.\n```\nx = 1\n```", "code"),
        ("for (int i = 0; i < n; i++) {\n  f(i);\n}", "code"),
    ],
)
def test_the_kind_of_a_prompt_is_told_by_marks_of_any_language(text, kind):
    assert pl.select(prompt_kind(pl.lit(text), pl.lit(False))).item() == kind
    assert pl.select(prompt_kind(pl.lit(text), pl.lit(True))).item() == "bound"


def test_a_slot_has_the_length_of_the_answer_that_had_to_be_translated():
    named = {"prompt_id": ["p", "p"], "language": ["en", "es"], "other_language": ["es", "en"]}
    pairs = pl.DataFrame(named | {"kind": ["dominant", "non_dominant"]})
    responses = pl.DataFrame({"prompt_id": ["p", "p"], "language": ["en", "es"], "text": ["12345", "123"]})
    kinds = pl.DataFrame({"prompt_id": ["p"], "prompt_kind": ["code"]})
    units = units_of_slots(pairs, pairs.clear(), kinds, responses, dominant="en")
    assert units.rows() == [("es", "code", "es", 3, False), ("es", "code", "en", 5, False)]


def test_an_answer_that_is_not_there_counts_as_empty():
    translations = pl.DataFrame({"prompt_id": ["p"], "source": ["es"], "target": ["en"], "status": ["failed_upstream"]})
    none = pl.DataFrame(schema={"prompt_id": pl.String, "language": pl.String, "text": pl.String})
    kinds = pl.DataFrame({"prompt_id": ["p"], "prompt_kind": ["code"]})
    units = units_of_translations(translations, kinds, none, dominant="en")
    assert units.rows() == [("es", "code", "es", 0, True)]
