"""The pictures of a card, from the counts that they are drawn from."""

from __future__ import annotations

import polars as pl

from lidr.release.cards.card_plots import languages_of


def test_pairs_of_a_language_are_counted_together_whatever_language_is_rejected():
    counted = pl.DataFrame(
        {
            "other": ["en", "en", "es"],
            "language": ["en", "en", "es"],
            "other_language": ["de", "en", "de"],
            "kind": ["sampled"] * 3,
            "pairs": [3, 5, 2],
        }
    )
    assert languages_of(counted).groups == (("en", (8.0,)), ("es", (2.0,)))
