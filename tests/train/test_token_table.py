from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from lidr.train.token_table import TokenTable
from lidr.train.tokens import TokenPair

PAIRS = [TokenPair(f"p{i}", "es", "dominant", [1, 2, i], [3, i], [] if i % 2 else [4]) for i in range(2_500)]


def test_pairs_come_back_as_they_were_written(tmp_path: Path) -> None:
    table = TokenTable.written(tmp_path, iter(PAIRS))
    assert len(table) == len(PAIRS)
    assert list(table) == PAIRS
    assert (table[1_700], table[-1]) == (PAIRS[1_700], PAIRS[-1])
    assert table[:3] == PAIRS[:3]


def test_a_column_can_be_shown_twice_under_other_names(tmp_path: Path) -> None:
    table = TokenTable.written(tmp_path, iter(PAIRS[:2]))
    assert list(table.dataset(prompt_ids="prompt_ids", rejected_ids="chosen_ids")) == [
        {"prompt_ids": [1, 2, 0], "rejected_ids": [3, 0]},
        {"prompt_ids": [1, 2, 1], "rejected_ids": [3, 1]},
    ]


def test_equal_pairs_share_a_file_and_others_have_one_of_their_own(tmp_path: Path) -> None:
    first, again, other = (TokenTable.written(tmp_path, pairs) for pairs in (PAIRS[:5], PAIRS[:5], PAIRS[:4]))
    assert len(list(tmp_path.iterdir())) == 2
    assert list(first) == list(again) == PAIRS[:5]
    assert list(other) == PAIRS[:4]


def test_weights_come_back_and_leave_the_file_as_it_is_without_them(tmp_path: Path) -> None:
    weighed = [replace(pair, weight=0.5 + place) for place, pair in enumerate(PAIRS[:3])]
    plain, table = TokenTable.written(tmp_path, PAIRS[:3]), TokenTable.written(tmp_path, weighed)
    assert len(list(tmp_path.iterdir())) == 1
    assert (list(plain), list(table)) == (PAIRS[:3], weighed)
    assert (plain[:2], table[1:], table[-1]) == (PAIRS[:2], weighed[1:], weighed[-1])
    assert [row["weight"] for row in table.dataset(prompt_ids="prompt_ids")] == [0.5, 1.5, 2.5]
    assert plain.dataset(prompt_ids="prompt_ids").column_names == ["prompt_ids"]


def test_pairs_are_written_as_they_come(tmp_path: Path) -> None:
    largest = 0

    def pairs() -> Iterator[TokenPair]:
        nonlocal largest
        for pair in PAIRS:
            largest = max(largest, *(path.stat().st_size for path in tmp_path.iterdir()), 0)
            yield pair

    TokenTable.written(tmp_path, pairs())
    assert largest > 1_000 * 20  # the first thousand are on disk before the last is made
