"""Requests that depend on answers: every engine takes them while it is asked, and batches do not hang on the parent."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lidr.engines.arrivals import Arrivals
from lidr.engines.engine import ChatRequest, Completion, Engine, EngineSpec
from lidr.engines.process.engine_process import open_engine
from lidr.engines.process.worker_messages import RequestWriter, read_requests
from lidr.engines.transformers import TransformersEngine
from tests.engines.helpers import ask
from tests.engines.server import Server, completion
from tests.tiny import tiny_model


class Talk:
    """Three conversations, each of whose questions holds the answer to the one before."""

    def __init__(self, turns: int = 3) -> None:
        self._turns, self._next = turns, [(str(number), 0, "What do bees make?") for number in range(3)]
        self._open = 3
        self.said: dict[str, str] = {}

    def requests(self) -> Iterator[ChatRequest | None]:
        while self._open:
            if self._next:
                number, turn, text = self._next.pop(0)
                yield ask(f"{number}/{turn}", text, max_tokens=4)
            else:
                yield None

    def through(self, engine: Engine) -> dict[str, str]:
        """What was said to each, by key."""
        for answer in engine.generate(self.requests()):
            assert isinstance(answer, Completion), answer
            assert answer.key not in self.said
            self.said[answer.key] = answer.text
            number, turn = answer.key.split("/")
            if int(turn) + 1 < self._turns:
                self._next.append((number, int(turn) + 1, f"What does {answer.text} mean?"))
            else:
                self._open -= 1
        return self.said


def test_what_is_there_is_taken_and_what_is_not_is_waited_for_only_by_the_idle() -> None:
    there = iter([ask("a"), None, ask("b"), ask("c"), None, None, ask("d")])
    stream = Arrivals(there)
    taken = [[request.key for request in stream.take(2, waits=waits)] for waits in (False, False, False, True, True)]
    assert taken == [["a"], ["b", "c"], [], ["d"], []]
    assert stream.is_over


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("tiny") / "llama3", "llama3", seed=1)


def test_a_question_about_an_answer_is_answered_in_the_same_call(model: Path, tmp_path: Path) -> None:
    spec = EngineSpec("transformers", model=str(model), batch=2, threads=1)
    with TransformersEngine(spec) as here:
        expected = Talk().through(here)
    assert len(expected) == 9
    with open_engine(spec, log=tmp_path / "worker.log") as engine:
        assert Talk().through(engine) == expected


def test_a_server_and_a_script_are_asked_about_their_answers_too(tmp_path: Path) -> None:
    rule = {"match": ".*", "text": "honey"}
    (tmp_path / "answers.jsonl").write_text(json.dumps(rule) + "\n")
    with open_engine(EngineSpec("scripted", str(tmp_path / "answers.jsonl")), log=tmp_path / "log") as engine:
        assert len(Talk().through(engine)) == 9
    spec = EngineSpec("openai", "m", url="", batch=4)
    with (
        Server(lambda _body, _count: completion()) as server,
        open_engine(replace(spec, url=server.url), log=tmp_path) as engine,
    ):
        assert len(Talk().through(engine)) == 9


def test_no_more_is_ahead_of_the_answers_than_an_engine_needs(tmp_path: Path) -> None:
    taken: list[str] = []
    requests = (taken.append(str(number)) or ask(str(number)) for number in range(RequestWriter.AHEAD + 100))
    writer = RequestWriter(tmp_path / "requests", requests)
    assert len(taken) == writer.written == RequestWriter.AHEAD
    for _ in range(7):
        writer.hear()
    assert len(taken) == RequestWriter.AHEAD + 7
    writer.close()


@pytest.mark.parametrize("pause_s", [0.0, 0.05])
def test_batches_are_the_same_however_slow_the_parent_is(tmp_path: Path, pause_s: float) -> None:
    # three at once; each answer to `a` makes a question that comes as the parent finds time
    answers: list[str] = []
    again: list[str] = []
    heard = 0

    def requests() -> Iterator[ChatRequest | None]:
        for key in ("a1", "a2", "b1", "b2", "b3"):
            yield from map(ask, again)
            again.clear()
            yield ask(key)
        while heard < 7:
            yield from map(ask, again)
            again.clear()
            if heard < 7:
                yield None

    writer = RequestWriter(tmp_path / "requests", requests())

    def parent() -> None:
        nonlocal heard
        while heard < 7:
            if heard < len(answers):
                time.sleep(pause_s)
                key = answers[heard]
                again.extend([f"again-{key}"] if key.startswith("a") and "-" not in key else [])
                heard += 1
                writer.hear()

    thread = threading.Thread(target=parent)
    thread.start()
    stream = Arrivals(read_requests(tmp_path / "requests", lambda: len(answers), flows=False))
    windows = []
    while window := stream.take(4):
        windows.append([request.key for request in window])
        answers.extend(windows[-1])
    thread.join()
    writer.close()
    assert windows == [["a1", "a2", "b1", "b2"], ["b3", "again-a1", "again-a2"]]
