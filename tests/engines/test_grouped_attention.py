"""Attention that copies no keys and values for each head gives the same bits, and is what generation uses."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from transformers import AttentionInterface
from transformers.integrations import sdpa_attention

from lidr.engines.engine import EngineSpec
from lidr.engines.grouped_attention import attend
from lidr.engines.transformers import TransformersEngine
from lidr.evals.harness.backends import open_lm
from lidr.evals.spec import Decoding
from tests.engines.helpers import ask, by_key
from tests.evals.asked import scripted_spec
from tests.tiny import tiny_model

LAYERS, GENERATED = 2, 6


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("models") / "policy", "llama3", seed=3)


@pytest.fixture
def copied(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The tokens of the query each time that transformers copies keys or values, in a process that lidr set up new."""
    monkeypatch.setitem(AttentionInterface._global_mapping, "sdpa", sdpa_attention.sdpa_attention_forward)
    seen: list[int] = []
    copy = sdpa_attention.repeat_kv
    monkeypatch.setattr(sdpa_attention, "repeat_kv", lambda states, times: (seen.append(times), copy(states, times))[1])
    return seen


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("key_heads", [1, 3, 9])
@pytest.mark.parametrize(("tokens", "is_masked"), [(1, True), (1, False), (5, True)])
def test_it_gives_the_bits_of_transformers(dtype: torch.dtype, key_heads: int, tokens: int, is_masked: bool) -> None:
    torch.manual_seed(0)
    query = torch.randn(4, 9, tokens, 64, dtype=dtype)
    key, value = (torch.randn(4, key_heads, 70, 64, dtype=dtype) for _ in range(2))
    mask = torch.rand(4, 1, tokens, 70) > 0.2 if is_masked else None
    layer = SimpleNamespace(num_key_value_groups=9 // key_heads, is_causal=True)
    theirs, _ = sdpa_attention.sdpa_attention_forward(layer, query, key, value, mask, scaling=0.1, dropout=0.0)  # type: ignore[arg-type]
    ours, weights = attend(layer, query, key, value, mask, scaling=0.1, dropout=0.0)
    assert torch.equal(ours, theirs)
    assert weights is None


def test_the_engine_copies_for_the_prompts_alone(model: Path, copied: list[int]) -> None:
    texts = ("Hi", "What do bees make?", "And what do they eat?")
    engine = TransformersEngine(EngineSpec("transformers", str(model), threads=1))
    answers = by_key(engine.generate(ask(text, text, max_tokens=GENERATED) for text in texts))
    assert max(answer.completion_tokens for answer in answers.values()) >= GENERATED - 1  # of more than one pass
    assert len(copied) == 2 * LAYERS


def test_lm_evals_own_model_copies_for_the_prompts_alone(model: Path, copied: list[int], tmp_path: Path) -> None:
    from lm_eval.api.instance import Instance

    spec = scripted_spec(tmp_path, backend="hf", model=str(model), decoding=Decoding(max_tokens=GENERATED), threads=1)
    requests = [
        Instance("generate_until", {}, (text, {"max_gen_toks": GENERATED, "until": []}), number)
        for number, text in enumerate(("Hi", "What do bees make?"))
    ]
    with open_lm(spec) as lm:
        lm.generate_until(requests)
    assert len(copied) == 2 * LAYERS
