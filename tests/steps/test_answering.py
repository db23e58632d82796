from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from lidr.engines import ChatRequest, Completion
from lidr.steps.answering import Answering, Tally
from lidr.store import in_tables
from tests.scripted import write_world
from tests.steps.helpers import rows_of


def test_the_next_question_is_made_when_the_last_is_answered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ask, store = Answering.ask, Answering._store
    made = stored = most = 0

    def counting(answering: Answering, requests: Iterable[ChatRequest | None], *heard: Any) -> None:
        def counted() -> Iterator[ChatRequest | None]:
            nonlocal made, most
            for request in requests:
                made += request is not None
                most = max(most, made - stored)
                yield request

        ask(answering, counted(), *heard)

    def storing(answering: Answering, answer: Completion) -> None:
        nonlocal stored
        store(answering, answer)
        stored += 1

    monkeypatch.setattr(Answering, "ask", counting)
    monkeypatch.setattr(Answering, "_store", storing)
    assert rows_of(write_world(tmp_path), "iter_1/translate").height == 16
    assert (made, stored, most) == (12 + 16, 12 + 16, 1)


def test_a_table_is_there_before_the_rows_of_the_next_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lidr.store.artifact.ROWS_AT_ONCE", 2)
    made: list[int] = []

    def rows() -> Iterator[dict[str, int]]:
        for number in range(5):
            made.append(number)
            yield {"number": number}

    tables = in_tables(rows(), pa.schema({"number": pa.int64()}))
    assert next(tables)["number"].to_pylist() == [0, 1]
    assert made == [0, 1]
    assert [table.num_rows for table in tables] == [2, 1]
    assert [table.num_rows for table in in_tables([], pa.schema({"number": pa.int64()}))] == [0]


def test_the_first_of_the_unanswered_is_that_of_the_first_place_in_whatever_order_they_come() -> None:
    tally = Tally()
    for key, at in (("late", (1, 0)), ("b", (0, 7)), ("a", (0, 9)), ("c", (0, 7))):
        tally.add(Completion(key, "", "refused", 0, 0, said="no"), at=at)
    assert tally.unanswered == [{"finish_reason": "refused", "said": "no", "count": 4, "first": "b"}]
