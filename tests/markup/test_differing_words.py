"""Which words differ, in scripts with and without spaces."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lidr.markup.differing_words import MOST_WORDS, word_differences


def marked(parts):
    return [part.text for part in parts if part.differs]


@pytest.mark.parametrize(
    ("one", "other", "first", "second"),
    [
        ("Anna hat 7 Äpfel.", "Anna hat 12 Äpfel.", ["7"], ["12"]),
        ("the big red ball", "the ball", ["big red"], []),
        ("蜂蜜は甘いです", "蜂蜜は苦いです", ["甘"], ["苦"]),
        ("يصنع النحل العسل", "يصنع النحل الخبز", ["العسل"], ["الخبز"]),
        ("नमस्ते दुनिया", "नमस्ते भारत", ["दुनिया"], ["भारत"]),
        ("same", "same", [], []),
        ("", "anything here", [], []),
        ("wholly other words here", "nothing alike at all", [], []),  # marking everything would say nothing
    ],
)
def test_the_words_that_only_one_text_has_are_marked(one, other, first, second):
    parts, others = word_differences(one, other)
    assert (marked(parts), marked(others)) == (first, second)


@given(st.text(), st.text())
def test_the_parts_are_the_text_and_neighbours_differ_in_kind(one, other):
    for text, parts in zip((one, other), word_differences(one, other), strict=True):
        assert "".join(part.text for part in parts) == text
        assert all(part.text for part in parts)


def test_what_comes_after_the_compared_words_is_not_marked():
    long = " ".join(f"w{k}" for k in range(MOST_WORDS + 50))
    parts, _ = word_differences(long, long.replace("w3 ", "x3 "))
    assert marked(parts) == ["w3"]
    assert parts[-1].text.endswith(f"w{MOST_WORDS + 49}")
