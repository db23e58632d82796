"""The scorer `reward_model` by vLLM, which is started once, and what is said before it is started."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

from lidr.errors import EngineError, MissingExtraError
from tests.families.shapes import WIDE
from tests.scripted import TINY, write_world
from tests.steps.helpers import rows_of
from tests.tiny import tiny_model
from tests.tiny_rewards import tiny_reward_model

needs_vllm = pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vLLM is not installed")
EOT = 4
"""<|eot_id|> of the tiny llama3, with which its template ends."""
CHAIN = "chain=[{generate: {n: 3, temperature: 1.0, max_tokens: 10}}, {score: {reward_model: {model: MODEL, MORE}}}]"


def world(folder: Path, **changes: object) -> tuple[Path, str]:
    """A recipe of tiny models, and its chain."""
    recipe = write_world(folder, TINY)
    tiny_model(folder / "model", "smollm2", seed=1)
    reward = tiny_reward_model(folder / "reward", "llama3", labels=2, changes=changes)
    return recipe, CHAIN.replace("MODEL", str(reward))


@needs_vllm
@pytest.mark.slow
def test_vllm_says_what_transformers_says(tmp_path):
    """Also where a text ends with the token that pads, which transformers passes over: there the logits of the last
    token are up to 6 away. Measured: 4e-6 apart at most, in float32 on a CPU.
    """
    recipe, chain = world(tmp_path / "w", **WIDE, pad_token_id=EOT)
    plain, fast = (
        rows_of(recipe, "iter_1/score", chain.replace("MORE", f"label: 1, max_length: 55{more}"), version)
        for more, version in (("", "version=0.1.0"), (", engine: vllm", "version=0.2.0"))
    )
    names = ["prompt_id", "language", "sample", "detail"]
    assert fast.select(names).equals(plain.select(names))  # every row, and the same reasons
    assert plain["detail"].str.starts_with("over_long: ").any()
    assert plain["value"].is_not_null().sum() > 10
    assert plain["value"].drop_nulls().std() > 0.1
    assert fast["value"].is_null().equals(plain["value"].is_null())
    assert (fast["value"] - plain["value"]).abs().max() < 1e-3


@needs_vllm
def test_a_model_without_a_trained_head_is_refused_before_vllm_is_started(tmp_path):
    recipe, _ = world(tmp_path / "w")
    chain = CHAIN.replace("MODEL", str(tmp_path / "w/model")).replace("MORE", "engine: vllm")
    with pytest.raises(EngineError, match=r"score\.reward_model\.model: score\.weight is not among its weights"):
        rows_of(recipe, "iter_1/score", chain)
    assert "vllm" not in "".join(log.read_text().lower() for log in tmp_path.rglob("log.txt"))


@needs_vllm
@pytest.mark.slow
def test_what_vllm_does_not_load_is_said_with_the_setting(tmp_path):
    recipe, chain = world(tmp_path / "w", **WIDE)
    config = tmp_path / "w/reward/config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "vocab_size": 1024}))  # not as its weights
    with pytest.raises(
        EngineError, match=r"score\.reward_model\.model: vLLM does not load it: AssertionError: assert loaded"
    ):
        rows_of(recipe, "iter_1/score", chain.replace("MORE", "engine: vllm"))


def test_without_vllm_it_is_said_what_to_install(tmp_path, monkeypatch):
    recipe, chain = world(tmp_path / "w")
    rows_of(recipe, "iter_1/generate", chain.replace("MORE", "engine: vllm"))
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "vllm" else find(name))
    with pytest.raises(MissingExtraError, match=r"the engine 'vllm' needs the package 'vllm'.*lidr\[vllm\]"):
        rows_of(recipe, "iter_1/score", chain.replace("MORE", "engine: vllm"))
