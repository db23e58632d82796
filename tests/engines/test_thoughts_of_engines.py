"""Engines answer without what was thought, whoever generates it: a model in this process, or a server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lidr.engines.engine import ChatRequest, Completion, EngineSpec, Sampling
from lidr.engines.process import open_engine
from lidr.engines.remote.openai import OpenAIEngine
from lidr.retry import Retry
from tests.engines.dialects import ANSWER, DIALECTS, answer
from tests.engines.server import Reply, Server
from tests.thinking import scripted_policy

TEXTS = {"qwen3": "<think>36?</think>18", "r1": "36?</think>18", "gemma4": "<|channel>36?<channel|>18"}


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def asked(spec: EngineSpec, tmp_path: Path, max_tokens: int = 32) -> Completion:
    request = ChatRequest("a", ({"role": "user", "content": "How many?"},), Sampling(max_tokens=max_tokens))
    with open_engine(spec, log=tmp_path / "log.txt") as engine:
        (found,) = engine.generate([request])
    assert isinstance(found, Completion), found
    return found


@pytest.mark.parametrize("family", TEXTS)
def test_a_model_answers_without_its_thoughts(tmp_path: Path, family: str) -> None:
    folder = scripted_policy(tmp_path / "policy", family, TEXTS[family])
    found = asked(EngineSpec("transformers", str(folder), threads=1), tmp_path)
    assert (found.text, found.reasoning, found.finish_reason) == ("18", "36?", "stop")
    assert found.completion_tokens == len(found.token_ids) == found.reasoning_tokens + 2
    cut = asked(EngineSpec("transformers", str(folder), threads=1), tmp_path, max_tokens=3)
    assert (cut.text, cut.finish_reason) == ("", "length")
    raw = asked(EngineSpec("transformers", str(folder), threads=1, reasoning_parser="none"), tmp_path)
    assert (raw.reasoning, "36?" in raw.text) == ("", True)


def served(reply: dict[str, Any] | Reply, *, parser: str = "auto", finish: str = "stop") -> Completion:
    def say(body: dict[str, Any], number: int) -> Reply:
        return reply if isinstance(reply, Reply) else answer(reply, finish=finish)

    request = ChatRequest("a", ({"role": "user", "content": "What do bees make?"},), Sampling(max_tokens=16))
    with Server(say) as server:
        spec = EngineSpec("openai", model="m", url=server.url, batch=1, reasoning_parser=parser)
        with OpenAIEngine(spec, retry=Retry(attempts=2, base_s=0.01, timeout_s=5)) as engine:
            (found,) = engine.generate([request])
    assert isinstance(found, Completion), found
    return found


THOUGHT = "Bees?"
WAYS: dict[str, dict[str, Any]] = {
    "vllm, with a parser": {"content": "Honey.", "reasoning_content": THOUGHT},
    "vllm, of today": {"content": "Honey.", "reasoning": THOUGHT},
    "mistral": {
        "content": [
            {"type": "thinking", "thinking": [{"type": "text", "text": THOUGHT}]},
            {"type": "text", "text": "Honey."},
        ]
    },
    "without a parser": {"content": f"<think>\n{THOUGHT}\n</think>\n\nHoney."},
    "opened in the prompt": {"content": f"{THOUGHT}\n</think>\n\nHoney.", "reasoning_content": None},
    "gpt-oss, raw": {"content": f"analysis{THOUGHT}assistantfinalHoney."},
}


@pytest.mark.parametrize("way", WAYS)
def test_a_server_s_thoughts_are_told_from_its_answer(way: str) -> None:
    found = served(WAYS[way])
    assert (found.text, found.reasoning, found.finish_reason) == ("Honey.", THOUGHT, "stop")


def test_thoughts_of_every_dialect_stand_apart() -> None:
    thoughts = {}
    for name in ("vllm", "sglang", "llama_cpp", "mistral"):
        with Server(DIALECTS[name]) as server:
            spec = EngineSpec("openai", model="m", url=server.url, batch=1)
            with OpenAIEngine(spec, retry=Retry(attempts=2, base_s=0.01, timeout_s=5)) as engine:
                request = ChatRequest("a", ({"role": "user", "content": "Bees?"},), Sampling(max_tokens=16))
                (found,) = engine.generate([request])
        assert isinstance(found, Completion)
        assert found.text == ANSWER
        thoughts[name] = found.reasoning
    assert thoughts == {"vllm": "I know this.", "sglang": "", "llama_cpp": "Hm.", "mistral": "Bees make honey."}


@pytest.mark.parametrize("finish", ["length", "stop"])
@pytest.mark.parametrize(
    "message",
    [{"content": "<think>\nBees"}, {"content": None, "reasoning_content": "Bees"}, {"reasoning": "Bees"}],
)
def test_a_thought_of_a_server_that_was_cut_is_no_answer(message: dict[str, Any], finish: str) -> None:
    found = served(message, finish=finish)
    assert (found.text, found.reasoning) == ("", "Bees")
    assert found.finish_reason == "length"


def test_a_server_s_own_count_of_tokens_is_kept() -> None:
    usage = {"prompt_tokens": 3, "completion_tokens": 9, "completion_tokens_details": {"reasoning_tokens": 7}}
    choice = {"message": {"content": "Honey."}, "finish_reason": "stop"}
    found = served(Reply(body=json.dumps({"choices": [choice], "usage": usage})))
    assert (found.completion_tokens, found.reasoning_tokens) == (9, 7)


def test_a_server_s_text_is_left_alone_where_the_recipe_says_so() -> None:
    text = "<think>Bees?</think>Honey."
    assert served({"content": text}, parser="none").text == text
    assert served({"content": text}, parser="mistral").text == text
    assert served({"content": "[THINK]Bees?[/THINK]Honey."}, parser="mistral").text == "Honey."
