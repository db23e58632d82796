"""Judging over HTTP: every kind of failure is counted or passes, the run goes on, and nothing is paid twice."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections import Counter
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest

from lidr.errors import EvaluationError
from lidr.evals.judge import Comparison, JudgeMode, JudgeSettings, Verdict, calls_needed, check_errors, judge
from lidr.evals.judge.judge_template import comparing_template
from lidr.evals.judge.question import facts_of, questions
from tests.engines.server import Reply, Server
from tests.evals.judge.answers import (
    QUICK,
    by_week,
    comparisons,
    likes,
    refused,
    said,
    settings,
    user_text,
    words,
)


def test_each_comparison_gets_its_verdict_in_the_order_given():
    def reply(body: dict, number: int) -> Reply:
        week = int(user_text(body).split("in week ")[1].split("?")[0])
        delay = 0.05 if week % 2 else 0.0
        is_switched = user_text(body).index("combs.") < user_text(body).index("jars.")
        share = 0.9 if week % 3 else 0.2  # of the reference
        return replace(likes(1 - share if is_switched else share), delay_s=delay)

    with Server(reply) as server:
        verdicts = judge(comparisons(12), settings(server))
    assert [verdict.key for verdict in verdicts] == [f"k{i}" for i in range(12)]
    assert [verdict.preference for verdict in verdicts] == pytest.approx([1.1 if i % 3 else 1.8 for i in range(12)])
    assert {order.switched for verdict in verdicts for order in verdict.orders} == {False, True}
    order = verdicts[0].orders[0]
    assert (order.prompt_tokens, order.completion_tokens, order.cached) == (300, 1, False)


def test_the_request_is_the_papers_and_holds_nothing_else():
    with Server(lambda body, _: likes(0.6)) as server:
        judge(comparisons(1), settings(server, mode="logprob"))
        judge(comparisons(1), settings(server, mode="score", token_limit="max_completion_tokens", repeat=2))
    assert {name: value for name, value in server.bodies[0].items() if name != "messages"} == {
        "model": "judge-1",
        "max_tokens": 1,
        "temperature": 1.0,
        "logprobs": True,
        "top_logprobs": 5,
    }
    assert {name: value for name, value in server.bodies[1].items() if name != "messages"} == {
        "model": "judge-1",
        "max_completion_tokens": 1024,
        "temperature": 0.0,
        "seed": 2,
    }
    assert server.paths == ["/v1/chat/completions"] * 2


@pytest.mark.parametrize(
    ("owner", "told"),
    [
        ("vllm", {"top_p": 1.0, "top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0}),
        ("llamacpp", {"top_p": 1.0, "top_k": -1, "min_p": 0.0, "repeat_penalty": 1.0, "repeat_last_n": -1}),
        ("openai", {}),
    ],
)
def test_a_judges_server_that_has_defaults_of_its_own_is_told_that_there_are_none(owner, told, tmp_path: Path):
    """vLLM takes a penalty from the judge's generation_config.json. Verdicts stay known by what was meant."""
    models = [{"id": "judge-1", "owned_by": owner}]
    with Server(lambda body, _: words("m"), models=models) as server:
        how = settings(server, mode="text", cache=str(tmp_path / "cache"))
        judge(comparisons(1), how)
        (body,) = server.bodies
        assert {name: value for name, value in body.items() if name not in ("model", "messages", "max_tokens")} == {
            "temperature": 0.0,
            **told,
        }
        (asked,) = questions(comparisons(1)[0], how, comparing_template(how))
        assert asked.body.keys() == {"model", "messages", "max_tokens", "temperature"}
        assert [one.orders[0].cached for one in judge(comparisons(1), how)] == [True]


def test_a_judge_that_always_takes_the_first_has_a_swapped_preference_of_a_half():
    with Server(lambda body, _: likes(0.99)) as server:
        verdicts = judge(comparisons(3), settings(server, mode="logprob_swap"))
    assert len(server.bodies) == 6
    assert [verdict.preference for verdict in verdicts] == pytest.approx([1.5] * 3)


def test_equal_outputs_and_repeated_questions_cost_nothing():
    same = Comparison("same", "Why?", "a", "a")
    twice = [Comparison("x", "Why?", "a", "b"), Comparison("y", "Why?", "a", "b")]
    with Server(lambda body, _: likes(0.5)) as server:
        asked = settings(server)
        assert calls_needed([same, *twice], asked) == 1
        verdicts = judge([same, *twice], asked)
    assert len(server.bodies) == 1
    assert [verdict.identical for verdict in verdicts] == [True, False, False]
    assert verdicts[1].orders == verdicts[2].orders


FAILURES: dict[int, tuple[list[Reply], str | None]] = {
    0: ([refused(429, "slow down", headers={"Retry-After": "0.1"}), likes(0.6)], None),
    1: ([refused(500, "oops"), refused(503, "oops"), likes(0.6)], None),
    2: ([Reply(body="{", cut=True), likes(0.6)], None),
    3: ([replace(likes(0.6), delay_s=1.3), likes(0.6)], None),
    4: ([Reply(body="<html>gateway</html>"), likes(0.6)], None),
    5: ([Reply(body=json.dumps({"choices": []})), likes(0.6)], None),
    6: ([refused(500, "oops")], "no answer: 3 tries, the last: HTTP 500"),
    7: ([refused(429, "slow down", headers={"Retry-After": "0.01"})], "no answer: 3 tries, the last: HTTP 429"),
    8: ([Reply(body="<html>gateway</html>")], "no answer: 3 tries, the last: the answer is no chat completion: <html>"),
    9: ([Reply(body=json.dumps({"choices": []}))], "no answer: 3 tries, the last: the answer is no chat completion"),
    10: ([words("M")], "no log-probabilities: the server gives none; use the mode text (answered 'M')"),
    11: ([said({"The": -0.1, "Both": -3.0})], "neither m nor M: among the likeliest tokens ['The', 'Both']"),
    12: ([words("I cannot judge people.")], "no log-probabilities"),
    13: ([refused(400, "This model's maximum context length is 8192 tokens")], "too long: the question does not fit"),
    14: ([refused(400, "logprobs is not supported with this model")], 'refused: HTTP 400: {"error": {"message"'),
    15: ([words(None, "content_filter")], "answer withheld: the server's content filter ended it"),
    16: ([Reply(body="[1, 2]")], "no answer: 3 tries, the last: the answer is no chat completion"),
    17: ([Reply(body=json.dumps({"choices": [{"message": None, "logprobs": 7}]}))], "no log-probabilities"),
    18: ([Reply(body='{"choices": [{"message": {}}', cut=True)], "no answer: 3 tries, the last: RemoteProtocolError"),
}


def test_every_failure_is_retried_or_counted_and_the_run_goes_on():
    script = by_week({week: replies for week, (replies, _) in FAILURES.items()}, otherwise=likes(0.6))
    with Server(script) as server:
        verdicts = judge(comparisons(40), settings(server, concurrency=4), retry=QUICK)
    wanted = {week: error for week, (_, error) in FAILURES.items()}
    for week, verdict in enumerate(verdicts):
        error = wanted.get(week)
        assert (verdict.error or "").startswith(error or ""), (week, verdict.error)
        assert (verdict.error is None) == (error is None), (week, verdict.error)
        assert (verdict.preference is None) == (error is not None)
        assert verdict.orders[0].error == verdict.error
    counts = Counter(error.split(":")[0] for error in wanted.values() if error)
    with pytest.raises(EvaluationError) as too_many:
        check_errors(verdicts, settings(server))
    assert str(too_many.value).startswith(
        "the judge judge-1 failed on 13 of 40 comparisons (32.5%), and 5.0% are allowed (max_error_share): "
        f"{counts['no answer']} x no answer (3 tries, the last: HTTP 500"
    )
    assert f"{counts['no log-probabilities']} x no log-probabilities" in str(too_many.value)
    check_errors(verdicts, settings(server, max_error_share=0.33))


@pytest.mark.parametrize(
    ("message", "hint"),
    [
        ("Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.", "set the judge's token_limit to"),
        ("logprobs is not supported with this model", "use the mode text"),
        ("System role not supported", "give the judge a template without one"),
        ("temperature does not support 0", "set the judge's temperature to what it takes"),
    ],
)
def test_a_refused_parameter_says_which_setting_helps(message, hint):
    with Server(lambda body, _: refused(400, message)) as server:
        (verdict,) = judge(comparisons(1), settings(server))
    assert (verdict.error or "").startswith("refused: HTTP 400: ")
    assert hint in (verdict.error or "")


def test_a_retry_after_is_waited_for():
    script = by_week({0: [refused(429, "slow", headers={"Retry-After": "0.25"}), likes(0.6)]}, otherwise=likes(0.5))
    with Server(script) as server:
        judge(comparisons(1), settings(server), retry=QUICK)
        assert server.times[1] - server.times[0] >= 0.25


def test_as_many_questions_are_in_flight_as_allowed():
    with Server(lambda body, _: replace(likes(0.6), delay_s=0.05)) as server:
        judge(comparisons(40), settings(server, concurrency=8))
    assert server.peak == 8


def test_a_second_run_makes_no_call(tmp_path: Path):
    with Server(lambda body, _: likes(0.7)) as server:
        asked = settings(server, cache=tmp_path / "judge.sqlite", mode="logprob_swap")
        assert calls_needed(comparisons(20), asked) == 40
        first = judge(comparisons(20), asked)
        assert calls_needed(comparisons(20), asked) == 0
        calls = len(server.bodies)
        second = judge(comparisons(20), asked)
        assert len(server.bodies) == calls == 40
    assert [verdict.preference for verdict in first] == [verdict.preference for verdict in second]
    assert all(order.cached for verdict in second for order in verdict.orders)


def test_a_judged_nonsense_is_kept_and_a_fault_of_the_server_asked_again(tmp_path: Path):
    faults = {0: [said({"The": -0.1})], 1: [refused(500, "oops")], 2: [words("M")], 3: [refused(400, "no")]}
    with Server(by_week(faults, otherwise=likes(0.6))) as server:
        asked = settings(server, cache=tmp_path / "judge.sqlite")
        judge(comparisons(5), asked, retry=QUICK)
        assert calls_needed(comparisons(5), asked) == 3
        server.bodies.clear()
        judge(comparisons(5), asked, retry=QUICK)
    assert {int(user_text(body).split("in week ")[1].split("?")[0]) for body in server.bodies} == {1, 2, 3}


def test_more_calls_than_allowed_are_refused_before_the_first(tmp_path: Path):
    with Server(lambda body, _: likes(0.6)) as server:
        asked = settings(server, cache=tmp_path / "c", mode="logprob_swap", max_calls=11)
        message = r"called 12 times, .*max_calls allows 11; nothing was asked\. Raise max_calls, ask fewer items"
        with pytest.raises(EvaluationError, match=message):
            judge(comparisons(6), asked)
        assert server.bodies == []
        judge(comparisons(5), asked)
        judge(comparisons(6), asked)  # two more: the rest is in the cache
    assert len(server.bodies) == 12


@pytest.mark.parametrize(
    ("status", "advice"),
    [
        (401, "the key is missing or wrong: set the environment variable LIDR_JUDGE_API_KEY"),
        (403, "the key in LIDR_JUDGE_API_KEY may not use this model"),
        (404, "no such model or path: check the server's URL"),
    ],
)
def test_a_wrong_key_or_address_ends_it_at_once(status, advice, tmp_path: Path):
    script = by_week({7: [refused(status, "no")]}, otherwise=likes(0.6))
    with Server(script) as server:
        asked = settings(server, concurrency=1, cache=tmp_path / "c")
        with pytest.raises(EvaluationError, match=f"HTTP {status}: {advice}.*kept in .*c: the same command goes on"):
            judge(comparisons(20), asked, retry=QUICK)
        assert len(server.bodies) == 8
        assert calls_needed(comparisons(20), asked) == 13


def test_an_account_without_quota_ends_it_at_once():
    with Server(lambda body, _: refused(429, "insufficient_quota")) as server:
        with pytest.raises(EvaluationError, match="HTTP 429: the account has no quota left"):
            judge(comparisons(20), settings(server, concurrency=1), retry=QUICK)
        assert len(server.bodies) == 1


def test_where_nothing_may_fail_a_fatal_fault_is_the_error_of_each_item(tmp_path: Path):
    with Server(by_week({3: [refused(401, "no")]}, otherwise=likes(0.6))) as server:
        verdicts = judge(comparisons(8), settings(server, concurrency=1), on_fatal="record", retry=QUICK)
        assert [verdict.error is None for verdict in verdicts] == [True] * 3 + [False] * 5
        assert verdicts[7].error is not None
        assert verdicts[7].error.startswith("not asked: http://127.0.0.1:")
        same = Comparison("same", "Why?", "a", "a")
        missing = settings(server, template=str(tmp_path / "nowhere.txt"))
        recorded = judge([*comparisons(2), same], missing, on_fatal="record")
    assert [(verdict.error or "").startswith("not asked: judge template") for verdict in recorded] == [
        True,
        True,
        False,
    ]
    assert recorded[2].preference == 1.5


def test_a_server_that_answers_nothing_is_given_up():
    with Server(lambda body, _: refused(500, "oops")) as server:
        with pytest.raises(EvaluationError, match="16 questions in a row failed, the last: no answer: 3 tries"):
            judge(comparisons(200), settings(server, concurrency=4), retry=QUICK)
        assert len(server.bodies) <= 3 * 24
    with Server(lambda body, _: words("M")) as server:
        with pytest.raises(EvaluationError, match=r"16 questions in a row failed, .*use the mode text"):
            judge(comparisons(200), settings(server, concurrency=4), retry=QUICK)
        assert len(server.bodies) <= 24


def test_a_server_that_is_not_there_is_given_up():
    with Server(lambda body, _: likes(0.5)) as server:
        asked = settings(server)
    with pytest.raises(EvaluationError, match="in a row failed, the last: no answer: 3 tries, the last: ConnectError"):
        judge(comparisons(40), asked, retry=QUICK)


def test_the_key_comes_from_the_environment_and_stands_nowhere(tmp_path: Path, monkeypatch, caplog):
    key = "sk-very-secret"
    monkeypatch.setenv("LIDR_JUDGE_API_KEY", key)
    echo = {1: [refused(400, f"bad request of {key}")], 2: [refused(500, f"oops {key}")]}
    leaky = json.loads(likes(0.6).body) | {"system_fingerprint": key}
    with Server(by_week(echo, otherwise=Reply(body=json.dumps(leaky)))) as server:
        verdicts = judge(comparisons(4), settings(server, cache=tmp_path / "c"), retry=QUICK)
        assert all(headers["Authorization"] == f"Bearer {key}" for headers in server.headers)
    told = json.dumps([verdict.as_json() for verdict in verdicts]) + caplog.text
    assert "bad request of ***" in told
    assert key not in told
    assert not any(key.encode() in file.read_bytes() for file in tmp_path.iterdir())
    with Server(lambda body, _: refused(401, f"wrong key {key}")) as server, pytest.raises(EvaluationError) as error:
        judge(comparisons(1), settings(server))
    assert key not in str(error.value)


def test_without_a_key_none_is_sent():
    with Server(lambda body, _: likes(0.6)) as server:
        judge(comparisons(1), settings(server, api_key_env="LIDR_NO_SUCH_KEY"))
    assert "Authorization" not in server.headers[0]


def test_half_characters_are_judged_like_others(tmp_path: Path):
    half = Comparison("k", "Why \ud83d?", "a \udc00", "b")
    with Server(lambda body, _: likes(0.6)) as server:
        for mode in ("logprob", "logprob_swap"):
            (verdict,) = judge([half], settings(server, mode=mode, cache=tmp_path / "c"))
            assert verdict.error is None
    assert half.output_1 in user_text(server.bodies[0])


def test_a_url_that_is_none_ends_it_at_once():
    wrong = JudgeSettings(model="m", base_url="http://localhost:port/v1")
    with pytest.raises(EvaluationError, match="http://localhost:port/v1 is not a server's URL"):
        judge(comparisons(3), wrong, retry=QUICK)


def test_a_proxy_is_not_asked_for_a_judge_on_this_machine(monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    with Server(lambda body, _: likes(0.6)) as server:
        assert judge(comparisons(1), settings(server))[0].error is None


def test_progress_counts_comparisons():
    told: list[int] = []
    same = Comparison("same", "Why?", "a", "a")
    with Server(lambda body, _: likes(0.6)) as server:
        judge([*comparisons(5), same], settings(server, mode="logprob_swap"), progress=told.append)
    assert sum(told) == 6
    assert min(told) == 1


def test_a_cache_that_fails_on_the_way_costs_no_verdict(tmp_path: Path, caplog):
    path = tmp_path / "judge.sqlite"

    def reply(body: dict, number: int) -> Reply:
        if number == 3:
            with closing(sqlite3.connect(path)) as db, db:
                db.execute("DROP TABLE answers")
        return likes(0.6)

    with Server(reply) as server:
        verdicts = judge(comparisons(10), settings(server, cache=path, concurrency=1))
    assert all(verdict.preference is not None for verdict in verdicts)
    assert caplog.text.count("judging goes on without it") == 1


def test_leaving_early_asks_nothing_more():
    class Stop(Exception):
        pass

    def stop(_: int) -> None:
        raise Stop

    with Server(lambda body, _: replace(likes(0.6), delay_s=0.05)) as server:
        with pytest.raises(Stop):
            judge(comparisons(100), settings(server, concurrency=4), progress=stop)
        time.sleep(0.2)
        asked = len(server.bodies)
        time.sleep(0.2)
        assert len(server.bodies) == asked < 20


def test_no_errors_are_within_any_threshold():
    with Server(lambda body, _: likes(0.6)) as server:
        strict = settings(server, max_error_share=0)
        check_errors(judge(comparisons(2), strict), strict)
        with pytest.raises(EvaluationError, match=r"failed on 1 of 1 comparisons \(100.0%\), and 0.0% are allowed"):
            check_errors([Verdict("k", None, error="too long: 9000 tokens")], strict)


def test_a_template_of_the_user_is_what_is_asked(tmp_path: Path):
    form = "<|im_start|>user\nA: {output_1} B: {output_2} to {instruction}\n<|im_end|>"
    (tmp_path / "t.txt").write_text(form)
    with Server(lambda body, _: likes(0.6)) as server:
        asked = settings(server, template=tmp_path / "t.txt", mode="logprob_swap")
        judge(comparisons(1), asked)
    texts = sorted(user_text(body) for body in server.bodies)
    assert texts[0] == "A: Honey, 0 jars. B: Wax, 0 combs. to What do bees make in week 0?"
    assert comparing_template(asked).name == facts_of(asked).template == "t.txt"


def test_many_threads_may_judge_at_once(tmp_path: Path):
    with Server(lambda body, _: replace(likes(0.6), delay_s=0.02)) as server:
        asked = settings(server, cache=tmp_path / "c")
        found: list[list[Verdict]] = []
        threads = [threading.Thread(target=lambda: found.append(judge(comparisons(15), asked))) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(server.bodies) == 15
    assert [len([v for v in verdicts if v.preference is not None]) for verdicts in found] == [15] * 3


def test_an_answer_kept_before_the_floor_is_read_by_it_and_no_call_is_made(tmp_path: Path):
    """The cache holds what the judge said, not what was made of it."""
    asked = comparisons(4)
    nothing = said({"Okay": -0.001, "M": -9.0, "m": -10.0})
    with Server(by_week({1: [nothing], 2: [nothing]}, otherwise=likes(0.6))) as server:
        of = settings(server, cache=tmp_path / "judge.sqlite", max_error_share=0.25)
        judge(asked, of)
        server.bodies.clear()
        verdicts = judge(asked, of)
        assert (server.bodies, calls_needed(asked, of)) == ([], 0)
    assert [verdict.preference is None for verdict in verdicts] == [False, True, True, False]
    assert all(order.cached for verdict in verdicts for order in verdict.orders)
    with pytest.raises(EvaluationError, match=r"2 of 4 .*2 x next to no probability on m and M \(0.017% together"):
        check_errors(verdicts, of)


def test_what_a_result_says_of_the_judge_names_the_rules_of_reading():
    of = JudgeSettings(model="j", base_url="http://127.0.0.1:9/v1")
    rules = {mode: facts_of(of.model_copy(update={"mode": mode})).reading for mode in get_args(JudgeMode)}
    assert rules == {"logprob": 2, "logprob_swap": 2, "text": 2, "score": 2}
