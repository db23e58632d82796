import gzip
import itertools
import json
import logging
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from email.utils import formatdate
from typing import Any

import pytest

from lidr.engines.engine import ChatRequest, Completion, EngineSpec, Failure
from lidr.engines.remote.chat_client import MOST_BYTES, ChatClient
from lidr.engines.remote.openai import OpenAIEngine
from lidr.errors import EngineError
from lidr.retry import Retry
from tests.engines.helpers import ask, by_key
from tests.engines.server import Reply, Server, completion

Serve = Callable[..., Server]
KEY = "sk-very-secret-0123456789"


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Start a server that gives the replies in turn, then well-formed ones; or one that a function answers for."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("TEST_KEY", KEY)
    servers: list[Server] = []

    def start(*replies: Reply, by: Callable[[dict[str, Any], int], Reply] | None = None) -> Server:
        by = by or (lambda _, number: replies[number] if number < len(replies) else completion())
        servers.append(Server(by).__enter__())
        return servers[-1]

    yield start
    for server in servers:
        server.__exit__()


def connect(server: Server, *, batch: int = 1, **retry: float) -> OpenAIEngine:
    spec = EngineSpec("openai", model="bee-1", url=server.url, batch=batch, api_key_env="TEST_KEY")
    return OpenAIEngine(spec, retry=Retry(**{"attempts": 3, "base_s": 0.01, "timeout_s": 5, **retry}))  # type: ignore[arg-type]


def declined(words: str) -> Reply:
    """OpenAI's own field for what its model will not say."""
    answer = json.loads(completion(None).body)
    answer["choices"][0]["message"]["refusal"] = words
    return Reply(body=json.dumps(answer))


def usage(**counts: object) -> Reply:
    answer = json.loads(completion().body)
    answer["usage"] |= counts
    return Reply(body=json.dumps(answer))


def one(server: Server, request: ChatRequest | None = None, **retry: float) -> Completion | Failure:
    with connect(server, **retry) as engine:
        (result,) = engine.generate([request or ask("a")])
    return result


def test_a_request_says_no_more_than_it_must(serve: Serve) -> None:
    server = serve()
    assert one(server) == Completion("a", "Honey.", "stop", prompt_tokens=11, completion_tokens=5)
    assert server.paths == ["/v1/chat/completions"]
    assert server.headers[0]["Authorization"] == f"Bearer {KEY}"
    assert server.bodies == [
        {
            "model": "bee-1",
            "messages": [{"role": "user", "content": "What do bees make?"}],
            "max_tokens": 16,
            "temperature": 0.0,
        }
    ]


def test_every_setting_is_sent_where_it_matters(serve: Serve) -> None:
    server = serve()
    one(server, ask("a", temperature=0.5, top_p=0.9, seed=4, repetition_penalty=1.1, stop=("</t>",), prefill="<t>\n"))
    sent = server.bodies[0]
    assert sent.pop("messages")[-1] == {"role": "assistant", "content": "<t>\n"}
    assert sent == {
        "model": "bee-1",
        "max_tokens": 16,
        "temperature": 0.5,
        "top_p": 0.9,
        "seed": 4,
        "repetition_penalty": 1.1,
        "stop": ["</t>"],
        "continue_final_message": True,
        "add_generation_prompt": False,
    }


def test_a_url_without_a_path_gets_v1(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    server = serve()
    monkeypatch.delenv("TEST_KEY")
    spec = EngineSpec("openai", model="m", url=server.url.removesuffix("/v1"), api_key_env="TEST_KEY")
    with OpenAIEngine(spec) as engine:
        by_key(engine.generate([ask("a")]))
    assert server.paths == ["/v1/chat/completions"]
    assert "Authorization" not in server.headers[0]


@pytest.mark.parametrize(
    ("answer", "text"),
    [("<t>\nMiel </t> x", "Miel "), ("<t>Miel", "Miel"), ("\n<t>\n Miel", " Miel"), ("Miel", "Miel"), (None, "")],
)
def test_a_repeated_prefill_and_a_kept_stop_string_are_cut(serve: Serve, answer: str | None, text: str) -> None:
    result = one(serve(completion(answer)), ask("a", prefill="<t>\n", stop=("</t>",)))
    assert isinstance(result, Completion)
    assert result.text == text


def test_a_cut_answer_is_marked(serve: Serve) -> None:
    result = one(serve(completion("Miel y", "length")))
    assert isinstance(result, Completion)
    assert result.finish_reason == "length"


@pytest.mark.parametrize(
    ("answer", "reason", "said"),
    [
        (completion("Mi", "content_filter"), "content_filter", "finish_reason: content_filter"),
        (completion("Mi", "tool_calls"), "unreadable", "the server ended the answer with finish_reason 'tool_calls'"),
        (completion("Mi", None), "unreadable", "the server ended the answer with finish_reason None"),
        (declined("I cannot."), "refused", "refusal: I cannot."),
    ],
)
def test_an_answer_that_is_none_is_a_row_with_its_reason(serve: Serve, answer: Reply, reason: str, said: str) -> None:
    server = serve(answer)
    result = one(server)
    assert isinstance(result, Completion)
    assert (result.finish_reason, result.said) == (reason, said)
    assert len(server.bodies) == 1


def test_the_text_of_an_answer_may_come_in_parts(serve: Serve) -> None:
    parts = [{"type": "text", "text": "Hon"}, {"type": "reasoning", "text": "hm"}, {"type": "text", "text": "ey."}]
    result = one(serve(completion(parts)))  # type: ignore[arg-type]
    assert isinstance(result, Completion)
    assert result.text == "Honey."


@pytest.mark.parametrize("key", ["none", "EMPTY", "a", "1234", "12345678", "password", "not-needed", KEY])
def test_a_key_hides_nothing_of_an_answer_that_it_may_hold_by_chance(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv("TEST_KEY", key)
    said = "Nonetheless, none is left, it is EMPTY; 12345678 and 1234, as not-needed as a password."
    found = one(serve(completion(said), completion(f"You sent Bearer {KEY}.")))
    assert isinstance(found, Completion)
    assert found.text == said
    other = one(serve(completion(f"You sent Bearer {KEY}.")))
    assert isinstance(other, Completion)
    assert other.text == ("You sent Bearer ***." if key == KEY else f"You sent Bearer {KEY}.")


@pytest.mark.parametrize(
    "fault",
    [
        Reply(500, "worker died"),
        Reply(503),
        Reply(429, "slow down"),
        Reply(200, '{"choices": []}'),
        Reply(200, "<html>proxy</html>"),
        Reply(200, '["nonsense"]'),
        Reply(200, '{"choices": [{"mess', cut=True),
        completion(delay_s=1.0),  # beyond the timeout below
    ],
    ids=["500", "503", "429", "no choices", "no JSON", "nonsense JSON", "cut body", "timeout"],
)
def test_a_passing_fault_is_asked_again(serve: Serve, fault: Reply) -> None:
    server = serve(fault, fault)
    result = one(server, timeout_s=0.3)
    assert isinstance(result, Completion)
    assert len(server.bodies) == 3


def test_a_fault_that_does_not_pass_is_a_failure_after_all_tries(serve: Serve) -> None:
    server = serve(*[Reply(500, f"worker  died\nat {KEY}")] * 9)
    assert one(server) == Failure("a", "no answer after 3 tries: HTTP 500: worker died at ***")
    assert len(server.bodies) == 3


BAD_ANSWERS = {
    "tokens that no table holds": usage(prompt_tokens=10**23),
    "infinite tokens": Reply(200, usage().body.replace("11", "1e999")),
    "less than no tokens": usage(completion_tokens=-1),
    "half a token": usage(completion_tokens=0.5),
    "deep JSON": Reply(200, "[" * 200_000),
    "a number of 5,000 digits": Reply(200, usage().body.replace("11", "1" * 5000)),
    "a packed body of 300 MB": Reply(200, gzip.compress(b" " * 300_000_000), {"Content-Encoding": "gzip"}),
    "another compression than it says": Reply(200, "{}", {"Content-Encoding": "gzip"}),
    "no message": Reply(200, '{"choices": [{"finish_reason": "stop"}]}'),
    "a message of numbers": completion(17),  # type: ignore[arg-type]
    "choices that are none": Reply(200, '{"choices": {"a": 1}}'),
}


@pytest.mark.parametrize("bad", BAD_ANSWERS.values(), ids=BAD_ANSWERS)
def test_a_bad_answer_is_asked_again_then_a_row_with_its_reason(serve: Serve, bad: Reply) -> None:
    server = serve(by=lambda body, number: bad if body["messages"][0]["content"] == "cursed" else completion())
    with connect(server) as engine:
        found = by_key(engine.generate([ask("a"), ask("b", "cursed"), ask("c")]))
    assert [found[key].finish_reason for key in "abc"] == ["stop", "unreadable", "stop"]
    assert found["b"].said
    assert len(server.bodies) == 2 + 3 + 1  # three tries, and something harmless
    passing = serve(bad, completion())
    assert one(passing) == Completion("a", "Honey.", "stop", 11, 5)


def test_a_packed_bomb_is_not_unpacked_whole(serve: Serve) -> None:
    server = serve(*[BAD_ANSWERS["a packed body of 300 MB"]] * 3)
    tracemalloc.start()
    one(server)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2.5 * MOST_BYTES


def test_an_answer_that_drips_is_given_up(serve: Serve) -> None:
    server = serve(*[completion("x" * 40, drip_s=0.05)] * 9)
    began = time.monotonic()
    result = one(server, timeout_s=0.3, attempts=1)
    assert isinstance(result, Failure)
    assert time.monotonic() - began < 4  # the body alone would take nine


def test_a_prompt_that_the_server_does_not_take_is_a_row_with_its_reason(serve: Serve) -> None:
    refusal = Reply(400, '{"error": {"message": "Invalid prompt: it may violate our usage policy"}}')
    server = serve(by=lambda body, number: refusal if body["messages"][0]["content"] == "no" else completion())
    with connect(server) as engine:  # alone, too: a run that goes on has only such prompts left
        (result,) = engine.generate([ask("a", "no")])
    assert isinstance(result, Completion)
    assert result.finish_reason == "refused"
    assert result.said.startswith("HTTP 400: ")
    assert "it may violate our usage policy" in result.said
    assert len(server.bodies) == 2  # and something harmless


@pytest.mark.parametrize(
    "body",
    [
        '{"error": {"code": "content_filter", "message": "The response was filtered", "param": "prompt"}}',
        '{"error": {"code": "content_policy_violation", "message": "no"}}',
        '{"error": {"message": "Filtered, as the prompt triggers our content management policy"}}',
    ],
)
def test_a_prompt_that_a_filter_takes_is_a_row_with_its_reason(serve: Serve, body: str) -> None:
    server = serve(Reply(400, body))
    result = one(server)
    assert isinstance(result, Completion)
    assert result.finish_reason == "content_filter"
    assert len(server.bodies) == 1


def test_what_every_request_has_in_common_is_no_fault_of_the_prompts(serve: Serve) -> None:
    server = serve(by=lambda *_: Reply(400, '{"error": {"message": "repetition_penalty: unknown parameter"}}'))
    said = r"refuses every request alike.*repetition_penalty: unknown parameter"
    with connect(server) as engine, pytest.raises(EngineError, match=said):
        list(engine.generate([ask(f"{n}", repetition_penalty=1.1) for n in range(50)]))
    assert len(server.bodies) == 2


def test_a_server_that_answers_nothing_rightly_is_at_fault_itself(serve: Serve) -> None:
    server = serve(by=lambda *_: Reply(200, "<html>gateway</html>"))
    said = rf"{server.url} gives nothing that can be read, not even to 'Hello!': .*<html>gateway.*usually ends in /v1"
    with connect(server, batch=8) as engine, pytest.raises(EngineError, match=said):
        list(engine.generate([ask(f"{n}") for n in range(50)]))
    assert len(server.bodies) <= 8 * 3 + 2, "each of the first eight with its tries, and once something harmless"


def test_one_that_was_away_when_it_was_looked_at_first_is_told_apart_too(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ChatClient, "listed", lambda _: None)  # nobody there
    server = serve(by=lambda *_: Reply(400, '{"error": {"message": "this model is not for chats"}}'))
    with connect(server) as engine, pytest.raises(EngineError, match="refuses every request alike"):
        list(engine.generate([ask("a")]))


def test_one_whose_answers_cannot_be_read_any_more_loses_no_row(serve: Serve) -> None:
    def gateway(_: Any, number: int) -> Reply:
        return completion() if number < 10 else Reply(200, "<html>log in</html>")

    server, found = serve(by=gateway), list[Any]()
    with connect(server, batch=4) as engine, pytest.raises(EngineError, match="gives nothing that can be read"):
        found.extend(engine.generate([ask(f"{n}") for n in range(50)]))
    assert [answer.finish_reason for answer in found if isinstance(answer, Completion)] == ["stop"] * 10
    assert len(server.bodies) < 40


def test_a_server_that_fails_at_every_request_is_not_asked_to_the_end(serve: Serve) -> None:
    server = serve(by=lambda *_: Reply(500, "out of memory"))
    said = r"10 requests in a row got no answer, each asked 3 times; the last: HTTP 500: out of memory"
    with connect(server, batch=1) as engine, pytest.raises(EngineError, match=said):
        list(engine.generate([ask(f"{n}") for n in range(50)]))
    assert len(server.bodies) == 9 * 3 + 2


def test_many_prompts_at_which_it_fails_do_not_keep_others_from_being_asked(serve: Serve) -> None:
    def reply(body: dict[str, Any], _: int) -> Reply:
        return Reply(500) if body["messages"][0]["content"] == "cursed" else completion()

    with connect(serve(by=reply), batch=1) as engine:
        found = list(engine.generate([*(ask(f"{n}", "cursed") for n in range(20)), ask("last")]))
    assert [type(answer) for answer in found] == [*[Failure] * 20, Completion]


@pytest.mark.parametrize(
    ("status", "advice"),
    [
        (401, r"HTTP 401: the key is missing or wrong: set the environment variable TEST_KEY"),
        (403, r"HTTP 403: the key in TEST_KEY may not use this model"),
        (404, r"HTTP 404: .*usually ends in /v1.*'bee-1'"),
    ],
)
def test_a_refusal_of_all_requests_is_an_error_that_says_what_to_do(serve: Serve, status: int, advice: str) -> None:
    server = serve(by=lambda *_: Reply(status, f"Incorrect API key provided: {KEY}"))
    with connect(server, batch=2) as engine, pytest.raises(EngineError, match=advice) as caught:
        list(engine.generate([ask(f"{n}") for n in range(50)]))
    assert KEY not in str(caught.value)
    assert len(server.bodies) < 10


@pytest.mark.parametrize("status", [400, 403, 429])
def test_an_account_without_quota_ends_it_at_once(serve: Serve, status: int) -> None:
    server = serve(by=lambda *_: Reply(status, '{"error": {"code": "insufficient_quota"}}'))
    with connect(server) as engine, pytest.raises(EngineError, match=f"HTTP {status}: the account has no quota left"):
        list(engine.generate([ask(f"{n}") for n in range(9)]))
    assert len(server.bodies) == 1


@pytest.mark.parametrize(
    "body",
    [
        '{"error": {"code": "context_length_exceeded", "message": "Please shorten your messages."}}',
        '{"error": {"message": "This model\'s maximum context length is 256 tokens. However, your prompt is 300"}}',
        '{"error": {"message": "max_tokens=300 cannot be greater than max_model_len=256.", "code": 400}}',
        '{"error": {"message": "The decoder prompt (length 300) is longer than the maximum model length of 256."}}',
        '{"error": {"message": "the request exceeds the available context size", "type": "exceed_context_size_error"}}',
    ],
    ids=["OpenAI", "vLLM", "vLLM, max_tokens", "vLLM, token ids", "llama.cpp"],
)
def test_a_prompt_that_the_server_finds_too_long_is_marked(serve: Serve, body: str) -> None:
    assert one(serve(Reply(400, body))) == Completion("a", "", "prompt_too_long", 0, 0)


@pytest.mark.parametrize("in_words", [False, True], ids=["seconds", "date"])
def test_retry_after_is_kept_to(serve: Serve, in_words: bool) -> None:
    wait = formatdate(time.time() + 2, usegmt=True) if in_words else "0.5"
    server = serve(Reply(429, headers={"Retry-After": wait}))
    one(server)
    assert server.times[1] - server.times[0] >= 0.5


def test_retry_after_is_capped_and_nonsense_in_it_ignored() -> None:
    retry = Retry(base_s=8, cap_s=20)
    assert retry.wait_s(1, {"retry-after": "86400"}) == 20
    assert retry.wait_s(1, {"retry-after": "-3"}) == 0
    assert retry.wait_s(1, {"retry-after": formatdate(0, usegmt=True)}) == 0
    for attempt, longest in ((1, 8), (2, 16), (3, 20), (60, 20)):
        waits = {retry.wait_s(attempt, {"retry-after": "soon"}) for _ in range(20)}
        assert len(waits) > 10
        assert all(longest / 2 <= wait <= longest for wait in waits)


def test_as_many_requests_are_open_as_the_batch_says(serve: Serve) -> None:
    server = serve(by=lambda *_: completion(delay_s=0.1))
    with connect(server, batch=4) as engine:
        assert len(by_key(engine.generate([ask(f"{n}") for n in range(16)]))) == 16
    assert server.peak == 4


def test_answers_come_as_they_are_ready(serve: Serve) -> None:
    slow = threading.Event()

    def reply(body: dict[str, Any], _: int) -> Reply:
        if body["messages"][0]["content"] == "slow":
            slow.wait(10)
        return completion()

    with connect(serve(by=reply), batch=2) as engine:
        stream = engine.generate([ask("slow", "slow"), ask("b"), ask("c")])
        assert [next(stream).key, next(stream).key] == ["b", "c"]
        slow.set()
        assert [result.key for result in stream] == ["slow"]


def test_a_stream_left_early_asks_no_more(serve: Serve) -> None:
    server = serve()
    with connect(server, batch=2) as engine:
        stream = engine.generate(ask(f"{n}") for n in itertools.count())
        next(stream)
        stream.close()  # type: ignore[attr-defined]
        time.sleep(0.2)
        asked = len(server.bodies)
        time.sleep(0.2)
        assert len(server.bodies) == asked
    with pytest.raises(EngineError, match="this engine is closed"):
        list(engine.generate([ask("a")]))


def test_an_error_in_the_requests_is_raised_to_the_reader(serve: Serve) -> None:
    def broken() -> Iterator[ChatRequest]:
        yield ask("a")
        raise ZeroDivisionError

    with connect(serve(), batch=2) as engine, pytest.raises(ZeroDivisionError):
        list(engine.generate(broken()))


def test_a_server_that_is_gone_ends_the_run_instead_of_failing_row_by_row(serve: Serve) -> None:
    server = serve()
    with connect(server, attempts=2) as engine:
        by_key(engine.generate([ask("a")]))
        server._http.shutdown()
        server._http.server_close()
        stream = engine.generate([ask(f"{n}") for n in range(9)])
        first = next(stream)
        assert isinstance(first, Failure)
        assert "ConnectError" in first.error
        with pytest.raises(EngineError, match=r"no server answers there .*Finished rows are kept"):
            list(stream)


def test_the_key_is_never_logged(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        one(serve(Reply(500), Reply(400)))
    assert "chat/completions" in caplog.text
    assert KEY not in caplog.text


@pytest.mark.parametrize(
    ("url", "message"),
    [
        (None, "needs the server's URL, as in openai:MODEL@http"),
        ("localhost:8000", "is not a server's URL"),
        ("http://me:word@host/v1", "the URL of host holds a user or password"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused(url: str | None, message: str) -> None:
    with pytest.raises(EngineError, match=message):
        OpenAIEngine(EngineSpec("openai", model="m", url=url))
