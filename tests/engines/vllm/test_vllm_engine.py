"""vLLM on the CPU, started once, with the real SmolLM2: the last test kills the process that started it."""

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import pytest

from lidr.engines.engine import EngineSpec
from lidr.engines.transformers import TransformersEngine
from tests.engines.helpers import Holder, ask, by_key, members, wait_until_empty

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vLLM is not installed"),
]

QUESTION = "Translate into German: The bees make honey."
REQUESTS = [
    ask("ends by itself", "What is the capital of France?"),
    ask("penalty", "Name three colours.", repetition_penalty=1.1),
    ask("other script", "蜜蜂は何を作りますか。"),
    ask("stop", "Name three colours.", stop=("Red",)),
    ask("prefill", QUESTION, prefill="<translated>\n"),
    ask("prefill and stop", QUESTION, prefill="<translated>\n", stop=("</translated>", "bee")),
    ask("one token", "What is 2 + 2?", max_tokens=1),
    ask("too long", "bees " * 500),
    ask("seeded", "Tell me a story.", temperature=1.0, top_p=0.9, seed=7),
    ask("seeded again", "Tell me a story.", temperature=1.0, top_p=0.9, seed=7),
]


@pytest.fixture(scope="module")
def spec(smollm2: Path) -> EngineSpec:
    return EngineSpec("vllm", model=str(smollm2), max_model_len=256)


@pytest.fixture(scope="module")
def holder(spec: EngineSpec, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Holder]:
    with Holder(spec, REQUESTS, folder=tmp_path_factory.mktemp("vllm")) as holder:
        yield holder


def test_vllm_answers_as_transformers_does(holder: Holder, spec: EngineSpec) -> None:
    greedy = [request for request in REQUESTS if request.sampling.temperature == 0]
    with TransformersEngine(EngineSpec("transformers", spec.model, max_model_len=256, threads=1)) as engine:
        expected = by_key(engine.generate(greedy))
    assert {key: answer for key, answer in by_key(holder.results).items() if key in expected} == expected
    assert {answer.finish_reason for answer in expected.values()} == {"stop", "length", "prompt_too_long"}


def test_vllm_draws_by_the_requests_seed(holder: Holder) -> None:
    answers = by_key(holder.results)
    assert len(answers) == len(REQUESTS)
    assert answers["seeded"].text == answers["seeded again"].text


def test_no_process_of_vllm_outlives_a_parent_that_is_killed(holder: Holder) -> None:
    assert len(members(holder.group)) > 1  # the worker, and what vLLM started
    holder.kill()
    wait_until_empty(holder.group)
