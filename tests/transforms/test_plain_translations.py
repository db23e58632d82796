from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lidr.transforms.plain_translations import has_words, read_untagged, read_whole, split_lines

SOURCE = "Bees make honey.\n\nThey store it."


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ([("Du miel.", "stop"), ("Elles le gardent.", "stop")], ("Du miel.\n\nElles le gardent.", "ok")),
        ([("Du miel.", "stop"), ("Elles", "length")], ("Du miel.\n\nElles", "truncated")),
        ([("", "prompt_too_long"), ("Elles", "stop")], ("Elles", "truncated")),
        ([("Du miel.", "stop"), (" ", "stop")], ("Du miel.", "empty")),
        ([("Bees make honey.", "stop"), ("They store it!", "stop")], (None, "copied_source")),
        ([("Du miel\ud83d", "stop"), ("Elles", "stop")], ("Du miel\ufffd\n\nElles", "ok")),
    ],
)
def test_each_status_is_told_apart(answers, expected):
    parsed = read_untagged(answers, SOURCE)
    assert parsed.status == expected[1]
    assert expected[0] is None or parsed.text == expected[0]


@pytest.mark.parametrize("source", [None, "", " \n"])
def test_without_an_answer_to_translate_it_failed_upstream(source):
    assert read_untagged([], source).status == read_whole("x", source).status == "failed_upstream"


def test_the_wrong_language_is_asked_of_the_whole():
    english = [("The bees live together in large groups.", "stop"), ("They make honey of the flowers.", "stop")]
    assert read_untagged(english, SOURCE, target="fr", candidates=["fr", "en"]).status == "wrong_language"
    assert read_untagged(english, SOURCE).status == "ok"
    text = "The bees live together in large groups."
    assert read_whole(text, SOURCE, target="fr", candidates=["fr"]).status == "wrong_language"


def test_nobody_refuses_and_nothing_is_unclosed():
    assert read_untagged([("I'm sorry, but I can't translate this.", "stop")], "Honey.").status == "ok"


def test_what_has_no_words_is_not_asked_and_stays():
    source = "# Honey\n\n---\n1.\n```\nbees = 1\nwax\n```\nThe end\n"
    pieces = split_lines(source)
    assert [piece.strip() for piece in pieces if has_words(piece)] == ["# Honey", "The end"]
    assert read_untagged([("# Miel", "stop"), ("La fin", "stop")], source).text == (
        "# Miel\n\n---\n1.\n```\nbees = 1\nwax\n```\nLa fin"
    )


def test_a_text_without_words_is_its_own_translation():
    assert read_untagged([], "42 + 1") == ("42 + 1", "ok")


def test_a_text_of_somebody_else_is_read_as_it_is():
    assert read_whole(" Du miel. ", "Honey.") == ("Du miel.", "ok")
    assert read_whole(" ", "Honey.").status == "empty"
    assert read_whole("bees make honey", "Bees make honey.").status == "copied_source"


@given(st.text(alphabet="a1 \n`-", max_size=60))
def test_the_pieces_are_the_text_and_every_piece_holds_something(text):
    pieces = split_lines(text)
    assert "".join(pieces) == text
    assert all(piece.strip() for piece in pieces) or not text.strip()
