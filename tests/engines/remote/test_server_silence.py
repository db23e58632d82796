"""A server that takes requests and does not answer: it is told, with what happens next, and `status` says it, too."""

from __future__ import annotations

import json
import logging
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from functools import partial

import pytest

import lidr
from lidr.cli.main import main
from lidr.engines import ChatClient, EngineSpec, Hopeless
from lidr.engines.engine import Completion, Failure
from lidr.engines.remote.openai import OpenAIEngine
from lidr.errors import EngineError
from lidr.evals import judge
from lidr.retry import Retry
from tests.engines.helpers import ask
from tests.engines.server import Reply, Server, completion
from tests.steps.test_declined_requests import served


def silences(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.name == "lidr.servers"]


def answers(server: Server, count: int, *, batch: int, told_after_s: float | None) -> list[Completion | Failure]:
    retry = Retry(attempts=2, base_s=0.01, timeout_s=30, told_after_s=told_after_s)
    with OpenAIEngine(EngineSpec("openai", model="bee", url=server.url, batch=batch), retry=retry) as engine:
        return list(engine.generate([ask(str(number)) for number in range(count)]))


def test_a_server_that_answers_nothing_for_long_is_told_with_what_happens_next(caplog):
    with Server(lambda _, number: completion(delay_s=1.0)) as server:
        assert len(answers(server, 2, batch=2, told_after_s=0.2)) == 2
    first, *more = silences(caplog)
    assert first.getMessage() == (
        f"{server.url} has answered nothing for 0 s; 2 requests are waiting. A request is given up after 30 s "
        "(runtime.server_timeout_s; of `lidr eval run` --server-timeout-s) and asked again, up to 2 times in all. What "
        "is finished is kept: the same command goes on from there"
    )
    assert time.time() - 5 < first.silent_since < time.time()
    assert 1 <= len(more) <= 2, "again when it has lasted twice as long, not at each look"


def test_what_is_given_up_and_asked_again_is_one_silence(caplog):
    retry = Retry(attempts=8, base_s=0.01, cap_s=0.05, timeout_s=0.3, told_after_s=1.2)
    with Server(lambda _, number: completion(delay_s=1.5 if number < 6 else 0.0)) as server:
        engine = OpenAIEngine(EngineSpec("openai", model="bee", url=server.url, batch=1), retry=retry)
        (found,) = engine.generate([ask("a")])
        engine.close()
    assert isinstance(found, Completion)
    assert len(server.bodies) == 7
    (record,) = silences(caplog)
    said = r"nothing that can be used for 1 s; one request is waiting; the last fault: .*\. A request is given up"
    assert re.search(said, record.getMessage())


@pytest.mark.parametrize(
    "fault", [Reply(500, "out of memory"), Reply(429, "slow down"), Reply(200, "<html>log in</html>")]
)
def test_faults_alone_are_a_silence_too_and_the_last_is_told(caplog, fault):
    retry = Retry(attempts=20, base_s=0.1, cap_s=0.1, told_after_s=0.5)
    with Server(lambda _, number: fault if number < 12 else completion()) as server:
        engine = OpenAIEngine(EngineSpec("openai", model="bee", url=server.url, batch=1), retry=retry)
        (found,) = engine.generate([ask("a")])
        engine.close()
    assert isinstance(found, Completion)
    said = silences(caplog)[0].getMessage()
    assert "has answered nothing that can be used for 1 s; one request is waiting; the last fault: " in said
    assert str(fault.body) in said


def test_one_slow_answer_among_others_is_no_silence(caplog):
    def reply(_, number):
        return completion(delay_s=1.0 if number == 0 else 0.05)

    with Server(reply) as server:
        assert len(answers(server, 30, batch=2, told_after_s=0.4)) == 30
    assert silences(caplog) == []


@pytest.mark.parametrize("digest", [None, "of-a-local-judge"])
def test_a_judges_server_is_watched_and_lidrs_own_is_not(caplog, digest):
    settings = judge.JudgeSettings(model="j", base_url="http://127.0.0.1:9/v1", digest=digest)
    assert settings.patience.told_after_s == (60 if digest is None else None)


def test_an_answer_may_take_as_long_as_the_recipe_says(tmp_path, monkeypatch):
    monkeypatch.setattr("lidr.engines.remote.openai.Retry", partial(Retry, attempts=1))
    with Server(lambda *_: completion(delay_s=2.0)) as server:
        recipe, _ = served(tmp_path, server)
        hasty = ["runtime.server_timeout_s=0.3"]
        with pytest.raises(EngineError, match=r"requests in a row got no answer.*(ReadTimeout|after 0\.3 s)"):
            lidr.run(lidr.load_recipe(recipe, overrides=hasty), until="generate")
        patient = lidr.plan(lidr.load_recipe(recipe))
        assert [step.identity for step in lidr.plan(lidr.load_recipe(recipe, overrides=hasty)).steps] == [
            step.identity for step in patient.steps
        ], "no identity"


@pytest.fixture
def nobody() -> Iterator[str]:
    """An address that takes no connection and refuses none, as a host behind a firewall."""
    with ExitStack() as stack:
        listening = stack.enter_context(socket.socket())
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            with suppress(BlockingIOError):
                waiting.connect(listening.getsockname())
        time.sleep(0.2)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/v1"


def test_a_host_that_says_nothing_at_all_is_met_no_longer_than_one_that_refuses(nobody, monkeypatch):
    monkeypatch.setattr("lidr.engines.remote.chat_client._FIRST_CONTACT_S", 0.3)
    client = ChatClient(nobody, model="m", api_key_env="NONE", at_once=1, retry=Retry(), patience="timeout")
    began = time.monotonic()
    with pytest.raises(Hopeless, match="no server answers there"):
        client.ask({}, lambda answer: answer, threading.Event())
    assert time.monotonic() - began < 10, "of 20 s that a busy server gets for a connection"
    client.close()


def test_a_run_tells_it_and_status_gives_no_time_that_is_left(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("lidr.engines.remote.openai.Retry", partial(Retry, told_after_s=0.5))
    goes_on, rules = threading.Event(), []

    def reply(body, number):
        if number == 8:
            goes_on.wait(60)
        asked = body["messages"][-1]["content"]
        return completion(next((rule["text"] for rule in rules if re.search(rule["match"], asked, re.DOTALL)), "Hi."))

    with Server(reply) as server:
        recipe, found = served(tmp_path, server)
        rules += found
        partial_folder = recipe.parent / "runs/scripted/0.1.0/iter_1/generate.partial"
        at_work = threading.Thread(target=lambda: lidr.run(recipe, until="generate", rebuild=[]), daemon=True)
        at_work.start()
        try:
            until = time.monotonic() + 60
            while time.monotonic() < until:
                time.sleep(0.1)
                with suppress(OSError, ValueError):
                    if "silent_since" in json.loads((partial_folder / "progress.json").read_text()):
                        break
            said = capsys.readouterr().err
            assert main(["status", str(recipe)]) == 0
            shown = capsys.readouterr().out
        finally:
            goes_on.set()
            at_work.join(60)
    assert re.search(rf"generate: {server.url} has answered nothing for \d+ s; one request is waiting\.", said)
    (line,) = (line for line in shown.splitlines() if line.startswith("iter_1/generate"))
    assert re.fullmatch(r"iter_1/generate +running +8 of 12 \w+ +no answer for (under )?\d+ s +-", line.strip())
