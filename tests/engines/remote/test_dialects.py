"""What servers take and how they answer: each is asked as it wants to be, by what its refusals say or the recipe."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from lidr.engines.engine import ChatRequest, Completion, EngineSpec, Failure, Sampling
from lidr.engines.remote.openai import OpenAIEngine
from lidr.engines.remote.openai_fields import RequestFields
from lidr.errors import EngineError
from lidr.recipe import OpenAIConfig, PolicyConfig, server_fields
from lidr.retry import Retry
from lidr.transforms import PREFILL, parse_translation, translation_messages
from tests.engines.dialects import ANSWER, DIALECTS, answer, openai_reasoning, refusal, vllm
from tests.engines.server import Reply, Server


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture(params=DIALECTS)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with Server(DIALECTS[request.param]) as started:
        yield started


def asked(
    server: Server, *requests: ChatRequest, config: OpenAIConfig | None = None, batch: int = 1
) -> list[Completion | Failure]:
    spec = EngineSpec("openai", model="m", url=server.url, batch=batch, **server_fields(config))
    with OpenAIEngine(spec, retry=Retry(attempts=2, base_s=0.01, timeout_s=5)) as engine:
        return list(engine.generate(requests))


def question(key: str, *, max_tokens: int = 16, **sampled: float) -> ChatRequest:
    sampling = Sampling(max_tokens=max_tokens, **sampled)  # type: ignore[arg-type]
    return ChatRequest(key, ({"role": "user", "content": "What do bees make?"},), sampling)


def translation(key: str) -> ChatRequest:
    return ChatRequest(key, translation_messages("Honey.", "Spanish"), Sampling(max_tokens=64), prefill=PREFILL)


def test_an_answer_is_read_without_its_thoughts(server):
    (found,) = asked(server, question("a"))
    assert isinstance(found, Completion)
    assert (found.text, found.finish_reason) == (ANSWER, "stop")


def test_a_translation_is_read_whether_or_not_its_start_is_taken(server):
    (found,) = asked(server, translation("a"))
    assert isinstance(found, Completion)
    assert found.finish_reason == "stop"
    assert parse_translation(found.text, found.finish_reason, "Honey.").text == ANSWER


@pytest.mark.parametrize("server", ["openai_reasoning"], indirect=True)
def test_what_a_refusal_taught_holds_for_all_requests_and_is_told(server):
    found = asked(server, *(question(str(number), temperature=0.7) for number in range(8)))
    assert {one.text for one in found if isinstance(one, Completion)} == {ANSWER}
    assert len(server.bodies) == 8 + 3  # max_tokens, temperature, top_p: one refusal each
    assert server.bodies[-1].keys() == {"model", "messages", "max_completion_tokens", "seed"}
    assert {one.served_by for one in found[1:] if isinstance(one, Completion)} == {
        "gpt-5-mini-2025-08-07 (asked with max_completion_tokens, no temperature, no top_p)"
    }


@pytest.mark.parametrize("server", ["openai_reasoning", "vllm", "gemini", "mistral"], indirect=True)
def test_a_server_that_does_not_know_ways_of_sampling_is_asked_without_them_and_that_is_told(server):
    sampling = Sampling(max_tokens=16, temperature=0.7, top_k=20, min_p=0.1, presence_penalty=0.5)
    found = asked(server, *(replace(question(str(number)), sampling=sampling) for number in range(3)))
    assert {one.text for one in found if isinstance(one, Completion)} == {ANSWER}
    assert not {"top_k", "min_p", "presence_penalty"} & server.bodies[-1].keys()
    for one in found[1:]:
        assert isinstance(one, Completion)
        assert all(f"no {name}" in one.served_by for name in ("top_k", "min_p", "presence_penalty"))


@pytest.mark.parametrize("server", ["sglang"], indirect=True)
def test_ways_of_sampling_reach_a_server_above_temperature_0(server):
    how = {"top_k": 20, "min_p": 0.1, "presence_penalty": 0.5}
    for temperature in (0.7, 0.0):
        asked(server, replace(question("a"), sampling=Sampling(max_tokens=16, temperature=temperature, **how)))
    drawn, greedy = server.bodies[0], server.bodies[-1]
    assert {name: drawn[name] for name in how} == how
    assert {name: greedy.get(name) for name in how} == {"top_k": None, "min_p": None, "presence_penalty": 0.5}


@pytest.mark.parametrize("server", ["openai_reasoning"], indirect=True)
def test_many_at_once_get_their_answers(server):
    found = asked(server, *(translation(str(number)) for number in range(24)), batch=8)
    assert all(isinstance(one, Completion) and ANSWER in one.text for one in found)


def test_what_two_requests_were_refused_for_is_learned_once():
    fields = RequestFields(EngineSpec("openai", model="m", url="http://127.0.0.1:9/v1"))
    body = fields.of(question("a"))
    said = openai_reasoning(body, 0).body
    assert fields.learn(body, str(said))
    assert fields.learn(body, str(said)), "the other request was sent before, and is to be asked again too"
    assert fields.learned == "max_completion_tokens"


@pytest.mark.parametrize(
    "words",
    [
        "continue_final_message is set but the final message does not appear in the chat after applying the template!",
        "This model does not support assistant message prefill. The conversation must end with a user message.",
    ],
)
def test_a_template_that_takes_no_started_answer_is_asked_plainly(words):
    def reply(body, number):
        return refusal(words) if body["messages"][-1]["role"] == "assistant" else vllm(body, number)

    with Server(reply) as server:
        found = asked(server, translation("a"), translation("b"))
    for one in found:
        assert isinstance(one, Completion)
        assert parse_translation(one.text, one.finish_reason, "Honey.").text == ANSWER
        assert one.served_by.endswith("(asked with no started answer)")
    assert [body["messages"][-1]["role"] for body in server.bodies] == ["assistant", "user", "user"]


def test_a_value_that_is_wrong_is_no_field_that_is_not_taken():
    fields = RequestFields(EngineSpec("openai", model="m", url="http://127.0.0.1:9/v1"))
    body = fields.of(question("a", temperature=3.0))
    said = refusal("Invalid 'temperature': decimal above maximum value. Expected <= 2.", "temperature", "out_of_range")
    assert not fields.learn(body, str(said.body))
    assert fields.of(question("a", temperature=3.0)) == body


@pytest.mark.parametrize("server", ["openai_reasoning"], indirect=True)
def test_a_token_limit_that_the_recipe_names_is_not_renamed(server):
    with pytest.raises(EngineError, match=r"refuses every request alike.*max_completion_tokens"):
        asked(server, question("a"), config=OpenAIConfig(token_limit="max_tokens"))


@pytest.mark.parametrize("server", ["openai_reasoning"], indirect=True)
def test_a_recipe_says_it_beforehand(server):
    body = {"reasoning_effort": "low", "temperature": None}
    config = OpenAIConfig(token_limit="max_completion_tokens", body=body, prefill=False)
    (found,) = asked(server, question("a"), config=config)
    assert len(server.bodies) == 1
    assert server.bodies[0].keys() == {"model", "messages", "max_completion_tokens", "reasoning_effort"}
    assert isinstance(found, Completion)
    assert "asked with" not in found.served_by


@pytest.mark.parametrize("server", ["gemini"], indirect=True)
def test_an_answer_cut_before_its_first_word_is_cut(server):
    (found,) = asked(server, question("a", max_tokens=1))
    assert isinstance(found, Completion)
    assert (found.text, found.finish_reason) == ("", "length")


@pytest.mark.parametrize("server", ["openai_reasoning"], indirect=True)
def test_a_field_that_the_recipe_wants_is_not_dropped_without_a_word(server):
    with pytest.raises(EngineError, match=r"refuses every request alike.*prompt_cache"):
        asked(server, question("a"), config=OpenAIConfig(body={"prompt_cache": "x"}))


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"max_tokens": 5}, "openai.token_limit"),
        ({"temperature": 0.2}, "temperature of the step"),
        ({"messages": []}, "the step"),
        ({"stop": None}, "the step"),
    ],
)
def test_fields_of_the_recipe_are_not_set_twice(body, words):
    with pytest.raises(ValueError, match=words):
        OpenAIConfig(body=body)


def test_it_is_of_servers_alone():
    with pytest.raises(ValueError, match="says how a server is asked"):
        PolicyConfig(model="./folder", openai=OpenAIConfig())


@pytest.mark.parametrize(("owner", "is_told"), [("vllm", True), ("sglang", True), ("openai", False)])
def test_a_server_that_has_defaults_of_its_own_is_told_every_value(owner: str, is_told: bool) -> None:
    """vLLM takes what a request does not name from the model's generation_config.json: Qwen2.5's penalty is 1.05."""
    with Server(lambda body, number: answer({"content": ANSWER}), models=[{"id": "m", "owned_by": owner}]) as server:
        assert all(isinstance(one, Completion) for one in asked(server, question("a"), question("b", temperature=0.7)))
        greedy, sampled = server.bodies
    told = {"repetition_penalty": 1.0, "top_k": -1, "min_p": 0.0}
    assert greedy.items() & told.items() == ({("repetition_penalty", 1.0)} if is_told else set())
    assert sampled.items() & told.items() == (told.items() if is_told else set())
    assert sampled["top_p"] == 1.0


@pytest.mark.parametrize("penalty", [1.0, 1.1])
def test_llama_cpp_is_told_a_penalty_by_its_own_name(penalty: float) -> None:
    """It reads over `repetition_penalty`, and over more than the last 64 tokens only where it is told so."""
    models = [{"id": "/models/gemma.gguf", "owned_by": "llamacpp"}]
    with Server(lambda body, number: answer({"content": ANSWER}), models=models) as server:
        asked(server, question("a", temperature=0.7, repetition_penalty=penalty))
        (body,) = server.bodies
    told = {"repeat_penalty": penalty, "repeat_last_n": -1, "top_k": -1, "min_p": 0.0, "top_p": 1.0}
    assert body.items() >= told.items()
    assert "repetition_penalty" not in body


def test_what_the_recipe_leaves_away_a_server_is_not_told() -> None:
    config = OpenAIConfig(body={"top_k": None})
    with Server(lambda body, number: answer({"content": ANSWER}), models=[{"id": "m", "owned_by": "vllm"}]) as server:
        asked(server, question("a", temperature=0.7), config=config)
        assert "top_k" not in server.bodies[0]


def test_a_server_behind_one_that_refuses_what_it_would_be_told_is_asked_without() -> None:
    def strict(body: dict, number: int) -> Reply:
        if "repetition_penalty" in body:
            return refusal("Unrecognized request argument supplied: repetition_penalty")
        return answer({"content": ANSWER})

    with Server(strict, models=[{"id": "m", "owned_by": "vllm"}]) as server:
        (found,) = asked(server, question("a"))
    assert isinstance(found, Completion)
    assert "no repetition_penalty" in (found.served_by or "")


def test_a_server_that_takes_any_name_is_known_for_what_it_is() -> None:
    """llama.cpp lists its file, and answers whatever it is called."""
    models = [{"id": "/models/gemma.gguf", "owned_by": "llamacpp"}]
    with Server(lambda body, number: answer({"content": ANSWER}), models=models) as server:
        asked(server, question("a", temperature=0.7))
        assert server.bodies[0]["top_k"] == -1


def test_a_server_that_comes_later_is_asked_anew_what_it_is() -> None:
    with Server(lambda body, number: answer({"content": ANSWER}), models=[{"id": "m", "owned_by": "vllm"}]) as server:
        gone = "http://127.0.0.1:9/v1"  # nobody listens there
        with OpenAIEngine(EngineSpec("openai", model="m", url=gone, batch=1), retry=Retry(attempts=1)) as engine:
            assert engine._client.listed() is None
            engine._meet()
            assert "repetition_penalty" not in engine._fields.of(question("a"))
            engine._client.base_url = server.url
            engine._meet()
            assert engine._fields.of(question("a"))["repetition_penalty"] == 1.0
