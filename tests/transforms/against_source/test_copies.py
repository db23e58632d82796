"""Whether a text is another one again."""

from __future__ import annotations

import polars as pl
import pytest

from lidr.transforms.against_source import is_copy, may_be_copy


@pytest.mark.parametrize(
    ("text", "source", "may"),
    [
        ("Bees make honey.", "bees make wax", True),  # the first eight letters are the same
        ("Bees make honey.", "Wasps make none.", False),
        ("«" * 40 + "Мёд", "мёд", True),  # nothing but signs among the characters that are looked at
        ("Bees", "Bees make honey.", True),
        ("", "Bees", True),
    ],
)
def test_a_text_that_begins_otherwise_is_no_copy_whichever_is_the_source(text, source, may):
    for one, other in ((text, source), (source, text)):
        assert pl.select(may_be_copy(pl.lit(one), pl.lit(other))).item() == may


def test_a_text_without_letters_is_no_copy_of_itself():
    texts = pl.DataFrame({"text": ["7 · 6 = 42", "`code`", "Мёд", "ab"]})
    assert texts.select(is_copy(pl.col("text"), pl.col("text"))).to_series().to_list() == [False, False, True, True]
