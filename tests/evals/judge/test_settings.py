"""Who judges, and how: from code, from the environment, in records."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from lidr.errors import EvaluationError
from lidr.evals.judge import JudgeSettings, Order, Verdict
from lidr.evals.judge.question import facts_of

SERVER = {"LIDR_JUDGE_MODEL": "gpt", "LIDR_JUDGE_BASE_URL": "http://localhost:8000/v1"}


def test_without_a_server_nothing_is_judged():
    assert JudgeSettings.from_environment({"LIDR_JUDGE_MODE": "text"}) is None


def test_every_setting_has_its_variable():
    found = JudgeSettings.from_environment(
        {
            **SERVER,
            "LIDR_JUDGE_MODE": "logprob",
            "LIDR_JUDGE_CONCURRENCY": "32",
            "LIDR_JUDGE_CACHE": "j.sqlite",
            "LIDR_JUDGE_SEED": "3",
            "LIDR_JUDGE_MAX_CALLS": "100",
            "LIDR_JUDGE_TIMEOUT_S": "9.5",
            "LIDR_JUDGE_API_KEY": "secret",
            "LIDR_JUDGE_API_KEY_ENV": "",
        }
    )
    assert found == JudgeSettings(
        model="gpt",
        base_url="http://localhost:8000/v1",
        mode="logprob",
        concurrency=32,
        cache="j.sqlite",
        seed=3,
        max_calls=100,
        timeout_s=9.5,
    )
    assert "secret" not in repr(found)


def test_half_a_judge_is_an_error():
    with pytest.raises(EvaluationError, match="LIDR_JUDGE_BASE_URL: Field required"):
        JudgeSettings.from_environment({"LIDR_JUDGE_MODEL": "gpt"})


def test_a_wrong_value_is_named_by_its_variable():
    with pytest.raises(EvaluationError, match=r"LIDR_JUDGE_MODE: .*'logprob', 'logprob_swap', 'text' or 'score'"):
        JudgeSettings.from_environment({**SERVER, "LIDR_JUDGE_MODE": "swap"})
    with pytest.raises(EvaluationError, match=r"LIDR_JUDGE_CONCURRENCY: .*greater than or equal to 1"):
        JudgeSettings.from_environment({**SERVER, "LIDR_JUDGE_CONCURRENCY": "0"})


@pytest.mark.parametrize("url", ["http://me:word@host/v1", "https://host/v1?key=word"])
def test_a_url_with_a_secret_is_refused_without_repeating_it(url):
    with pytest.raises(EvaluationError, match="host holds a user, a password or a query") as refusal:
        JudgeSettings.checked({"model": "m", "base_url": url})
    assert "word" not in str(refusal.value).replace("password", "")


def test_a_url_is_completed_and_a_wrong_one_refused():
    assert JudgeSettings(model="m", base_url="http://host:1/").base_url == "http://host:1/v1"
    assert JudgeSettings(model="m", base_url="https://host/openai/v1/").base_url == "https://host/openai/v1"
    with pytest.raises(ValidationError, match="is not a server's URL"):
        JudgeSettings(model="m", base_url="host:8000")


def test_a_judge_of_our_own_is_waited_for_longer():
    values = {"model": "m", "base_url": "http://h/v1"}
    assert JudgeSettings(**values).patience.timeout_s == 120
    assert JudgeSettings(**values, digest="ab").patience.timeout_s == 3600
    assert JudgeSettings(**values, digest="ab", timeout_s=5).patience.timeout_s == 5


def test_paths_may_be_given_as_paths():
    found = JudgeSettings(model="m", base_url="http://h/v1", cache=Path("a/b.sqlite"), template=Path("t.txt"))
    assert (found.cache, found.template) == ("a/b.sqlite", "t.txt")


def test_facts_name_the_judge_its_template_and_how_it_is_served():
    server = facts_of(JudgeSettings(model="m", base_url="http://h/v1", seed=2))
    assert (server.model, server.mode, server.template, server.served, server.digest, server.seed) == (
        "m",
        "logprob_swap",
        "lidr/judge_v1",
        "server",
        None,
        2,
    )
    local = facts_of(JudgeSettings(model="m", base_url="http://h/v1", mode="score", digest="vllm/float32/ab"))
    assert (local.template, local.served, local.digest) == ("lidr/judge_score_v1", "local", "vllm/float32/ab")


def test_a_verdict_survives_json():
    order = Order(True, 1.25, "M", 0.25, cached=True, prompt_tokens=9, request_sha256="ab", scores=(3.0, 8.0), text="x")
    verdict = Verdict("de/3", 1.25, orders=(order,))
    assert Verdict.from_json(verdict.as_json()) == verdict
    with pytest.raises(EvaluationError, match="no verdict of this lidr"):
        Verdict.from_json({"key": "3"})
