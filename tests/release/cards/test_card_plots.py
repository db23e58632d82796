"""The pictures of a card, from the counts that they are drawn from."""

from __future__ import annotations

import polars as pl

from lidr.release.cards import card_plots
from lidr.release.cards.card_plots import languages_of, pair_statistics


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


def test_statistics_are_those_of_all_pairs_whatever_is_looked_at_at_once(world, monkeypatch):
    pairs = pl.concat(pl.read_parquet(world.written("pairs", number).tables) for number in world.iterations)
    wanted = {
        (row["language"], row["other_language"], row["kind"]): (row["pairs"], row["chosen"], row["rejected"])
        for row in pairs.group_by("language", "other_language", "kind")
        .agg(
            pairs=pl.len(),
            chosen=pl.col("chosen_text").str.len_chars().median(),
            rejected=pl.col("rejected_text").str.len_chars().median(),
        )
        .iter_rows(named=True)
    }
    assert len(wanted) == 4
    for rows in (1, 3, 10_000):
        monkeypatch.setattr(card_plots, "ROWS_PER_BATCH", rows)
        found = {
            (row["language"], row["other_language"], row["kind"]): (row["pairs"], row["chosen"], row["rejected"])
            for row in pair_statistics(world).iter_rows(named=True)
        }
        assert found == wanted
