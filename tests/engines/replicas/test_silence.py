from __future__ import annotations

import time

import pytest

from lidr.engines.engine import ChatRequest, Completion
from lidr.engines.replicas.chunks import Chunk
from lidr.engines.replicas.silence import FACTOR, LEAST_S, Patience
from tests.engines.helpers import ask


def chunk(count: int = 4, characters: int = 100, max_tokens: int = 500) -> Chunk:
    requests: list[ChatRequest] = [ask(f"k{n}", "x" * characters, max_tokens=max_tokens) for n in range(count)]
    made = Chunk(0, {request.key: request for request in requests})
    made.load()
    return made


def finished(took_s: float, *, tokens: int = 50, **how: int) -> Chunk:
    """A chunk that was given so many seconds ago, with an answer of so many tokens."""
    made = chunk(**how)
    made.settle(Completion("k0", "a", "stop", 1, tokens))
    made.given_at = time.monotonic() - took_s
    return made


def test_nobody_is_impatient_before_a_chunk_has_finished_or_where_tokens_are_unknown() -> None:
    found = Patience()
    assert found.limit_s([chunk()]) == float("inf")
    found.learn(finished(60, tokens=0))
    assert found.limit_s([chunk()]) == float("inf")


def test_the_limit_is_that_of_the_longest_answer_to_the_longest_prompt_and_of_as_many_at_once() -> None:
    found = Patience()
    found.learn(finished(60))
    slowest = FACTOR * 60
    assert found.limit_s([chunk()]) == pytest.approx(slowest * (500 / 50 + 1), rel=0.01)
    assert found.limit_s([chunk(characters=300)]) == pytest.approx(slowest * (500 / 50 + 3), rel=0.01)
    assert found.limit_s([chunk(count=8)]) == pytest.approx(2 * slowest * (500 / 50 + 1), rel=0.01)
    assert found.limit_s([chunk(count=1)]) == found.limit_s([chunk()])  # fewer are not faster
    assert found.limit_s([chunk(), chunk(max_tokens=5000)]) == pytest.approx(slowest * (5000 / 50 + 1), rel=0.01)


def test_the_slowest_chunk_counts_and_ten_minutes_are_the_least() -> None:
    found = Patience()
    found.learn(finished(0.01))
    assert found.limit_s([chunk()]) == LEAST_S == 600
    found.learn(finished(60))
    limit_s = found.limit_s([chunk()])
    found.learn(finished(1, tokens=1))  # a last, small chunk
    assert found.limit_s([chunk()]) == limit_s
    found.learn(finished(120))
    assert found.limit_s([chunk()]) == pytest.approx(2 * limit_s, rel=0.01)


def test_what_was_answered_on_an_earlier_way_says_nothing_of_the_next() -> None:
    made = finished(60)
    assert (made.given, made.tokens, len(made.waiting)) == (4, 50, 3)
    made.load()
    assert (made.given, made.tokens) == (3, 0)
    assert time.monotonic() - made.given_at < 10
