"""vLLM on the CPU against transformers: three current architectures, tiny and random, greedy in float32, ids equal; and
thoughts, which it ends at their budget.

vLLM runs without processes of its own here (tests/families/warm_vllm.py); with them in test_vllm_engine.py. Ways of
sampling are drawn by vLLM from generators of its own, so of those it is only seen that they do what they say.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lidr.engines.engine import Completion, EngineSpec
from lidr.engines.process import open_engine
from lidr.engines.transformers import TransformersEngine
from lidr.errors import EngineError
from tests.engines.helpers import ask, by_key
from tests.families.warm_vllm import warm_vllm
from tests.thinking import scripted_policy
from tests.tiny import STYLES, make_tokenizer, tiny_model

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vLLM is not installed"),
]
TEXTS = (
    "What do bees make?",
    "¿Qué hacen las abejas?",
    "蜜蜂は何を作りますか。" * 3,
    "Bienen? " * 9,
    "one two " * 12,
    "Hi",
)
FAMILIES = {"Llama": "llama3", "Qwen3": "qwen2", "Gemma3": "gemma"}
"""Architecture -> whose tokenizer and template of tests.tiny it gets."""


def tiny(folder: Path, family: str) -> Path:
    """A random model whose heads are wide enough for vLLM's attention on CPUs."""
    import torch
    import transformers

    style = STYLES[FAMILIES[family]]  # type: ignore[index]
    tokenizer = make_tokenizer(style)
    more: dict[str, Any] = {"sliding_window": 32, "query_pre_attn_scalar": 32} if family == "Gemma3" else {}
    config = getattr(transformers, "Gemma3TextConfig" if family == "Gemma3" else f"{family}Config")(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=32,
        max_position_embeddings=512,
        initializer_range=0.2,
        tie_word_embeddings=family != "Llama",
        eos_token_id=tokenizer.convert_tokens_to_ids(list(style.eos)),
        bos_token_id=tokenizer.bos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        **more,
    )
    torch.manual_seed(1)
    model = getattr(transformers, f"{family}ForCausalLM")(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module", autouse=True)
def _warm() -> Iterator[None]:
    with warm_vllm():
        yield


@pytest.mark.parametrize("family", FAMILIES)
def test_greedy_answers_are_those_of_transformers(family, tmp_path):
    folder = str(tiny(tmp_path / family, family))
    how = {"plain": {}, "penalty": {"presence_penalty": 1.5, "repetition_penalty": 1.2}}
    greedy = [ask(f"{name}/{text}", text, max_tokens=24, **more) for name, more in how.items() for text in TEXTS]
    greedy.append(ask("too long", "bees " * 500))
    hot = {"temperature": 2.0, "max_tokens": 12}  # as hot as vLLM allows
    drawn = [ask(f"{n}/{name}", seed=n, **hot, **one) for n in range(4) for name, one in LIMITS.items()]
    spec = EngineSpec("vllm", folder, max_model_len="auto", threads=1, vllm={"max_num_seqs": 8})
    with open_engine(spec, log=tmp_path / "log.txt") as engine:
        found = by_key(engine.generate([*greedy, *drawn]))
    with TransformersEngine(EngineSpec("transformers", folder, threads=1)) as engine:
        expected = by_key(engine.generate(greedy))
        best = by_key(engine.generate([ask("best", max_tokens=12)]))["best"]
    assert {key: found[key] for key in expected} == expected
    assert {answer.finish_reason for answer in expected.values()} >= {"length", "prompt_too_long"}
    for number in range(4):
        assert found[f"{number}/top_k"].token_ids == found[f"{number}/min_p"].token_ids == best.token_ids
    assert len({found[f"{number}/none"].token_ids for number in range(4)}) == 4


LIMITS: dict[str, dict[str, Any]] = {"none": {}, "top_k": {"top_k": 1}, "min_p": {"min_p": 1.0}}


def asked(spec: EngineSpec, log: Path) -> Completion:
    with open_engine(spec, log=log) as engine:
        (found,) = engine.generate([ask("a", "How many?", max_tokens=32)])
    assert isinstance(found, Completion), found
    return found


def test_a_thought_ends_at_its_budget(tmp_path: Path) -> None:
    """Without one it answers as the model does; with one the closing mark is forced, and the model goes on after it."""
    folder = scripted_policy(tmp_path / "policy", "qwen3", "<think>36? No.</think>18")
    spec = {"kind": "vllm", "model": str(folder), "max_model_len": 256, "threads": 1, "gpu_memory": 0.5}
    found = asked(EngineSpec(**spec), tmp_path / "log.txt")
    assert (found.text, found.reasoning, found.finish_reason) == ("18", "36? No.", "stop")
    short = asked(EngineSpec(**spec, thinking_budget=2), tmp_path / "log.txt")
    assert (short.text, short.reasoning, short.finish_reason) == ("18", "36", "stop")


def test_a_budget_needs_marks(tmp_path: Path) -> None:
    folder = tiny_model(tmp_path / "policy", "smollm2")
    with pytest.raises(EngineError, match=r"policy\.reasoning\.budget: .* has no marks of thoughts"):
        asked(EngineSpec("vllm", str(folder), threads=1, thinking_budget=8), tmp_path / "log.txt")
