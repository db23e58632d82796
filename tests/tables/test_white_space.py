"""What a reader sees of a text: one rule for prompts, answers and sets."""

from __future__ import annotations

import time
import unicodedata

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lidr.tables import bare, is_blank, is_visible, same, trimmed

ODD = "ab. \n\t\r\u00a0\u200b\u200c\u200d\ufeff\u00ad\u0301\u2028\u3000\u3164\ufe0f가é"
texts = st.text(st.sampled_from(ODD), max_size=40)


def one(expression: pl.Expr) -> object:
    return pl.select(expression).item()


@pytest.mark.parametrize("place", range(0, 0x30000, 0x1000))
def test_no_space_control_or_zero_width_mark_is_visible_and_every_letter_is(place):
    for code in range(place, place + 0x1000):
        kind = unicodedata.category(chr(code))
        if kind in ("Cc", "Zs", "Zl", "Zp"):
            assert not is_visible(chr(code)), hex(code)
        if kind in ("Ll", "Lu", "Nd", "Po", "So", "Sm") and code not in (0x2800,):
            assert is_visible(chr(code)), hex(code)


@settings(deadline=None)
@given(texts)
def test_python_and_polars_agree_on_what_is_visible(text):
    assert one(is_blank(pl.lit(text))) == (not is_visible(text))
    assert not is_visible(text) or is_visible(str(one(trimmed(pl.lit(text)))))


@settings(deadline=None)
@given(texts, texts)
def test_the_short_cut_of_same_never_changes_its_answer(left, right):
    for other in (right, left.replace(" ", "\u00a0") + "\n", unicodedata.normalize("NFC", left), f"\u200b{left}"):
        both = [one(bare(pl.lit(text))) for text in (left, other)]
        assert one(same(pl.lit(left), pl.lit(other))) == (both[0] == both[1])


@settings(deadline=None)
@given(st.text(st.sampled_from("abcdefgh é\u0301й"), min_size=20, max_size=60))
def test_texts_in_two_unicode_forms_are_the_same_wherever_they_are_cut(text):
    forms = [unicodedata.normalize(form, text) for form in ("NFC", "NFD")]
    assert one(same(pl.lit(forms[0]), pl.lit(forms[1])))


@pytest.mark.parametrize("text", ["അവന്\u200d", "🏴\U000e0067\U000e007f", "❤\ufe0f"])
def test_marks_that_change_what_stands_before_them_are_no_space(text):
    assert one(trimmed(pl.lit(f" {text}\u200b\n"))) == text


LONG = [" " * 10**6, "a " * 500_000, " \n" * 500_000 + "a", "\u200b" * 10**6, "e\u0301" * 500_000]


@pytest.mark.parametrize("text", LONG, ids=range(len(LONG)))
def test_a_million_characters_take_less_than_a_second(text):
    begun = time.process_time()
    one(same(pl.lit(text), pl.lit(text + "\n")))
    one(is_blank(pl.lit(text)))
    is_visible(text)
    assert time.process_time() - begun < 1
