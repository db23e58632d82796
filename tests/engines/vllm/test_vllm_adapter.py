"""vLLM on the CPU with an adapter over its model, against transformers with the merged model: real vLLM, real peft."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

import pytest

from lidr.engines.engine import EngineSpec
from lidr.engines.merging.merge_worker import merge_here
from lidr.engines.process import open_engine
from lidr.engines.transformers import TransformersEngine
from lidr.errors import EngineError
from tests.adapters import lora, make_adapter
from tests.engines.helpers import ask, by_key
from tests.engines.vllm.test_vllm_families import TEXTS, tiny
from tests.families.warm_vllm import warm_vllm

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vLLM is not installed"),
]


@pytest.fixture(scope="module", autouse=True)
def _warm() -> Iterator[None]:
    with warm_vllm():
        yield


def test_it_answers_as_the_merged_model_and_not_as_the_base(tmp_path):
    base = tiny(tmp_path / "base", "Llama")
    how = {"r": 12, "target_modules": "all-linear", "rank_pattern": {"v_proj": 2}, "alpha_pattern": {"up_proj": 3}}
    adapter = make_adapter(base, tmp_path / "adapter", lora(**how)).folder
    merge_here(base, adapter, tmp_path / "merged")
    asked = [ask(text, text, max_tokens=24) for text in TEXTS]
    said = {}
    for name, folder in (("merged", tmp_path / "merged"), ("base", base)):
        with TransformersEngine(EngineSpec("transformers", str(folder), threads=1)) as engine:
            said[name] = by_key(engine.generate(asked))
    spec = EngineSpec("vllm", str(base), adapter=str(adapter), max_model_len="auto", threads=1)
    with open_engine(spec, log=tmp_path / "log.txt") as engine:
        found = by_key(engine.generate(asked))
    assert found == said["merged"]
    assert found != said["base"]


def test_an_adapter_that_vllm_loads_and_that_changes_nothing_is_refused(tmp_path):
    base = tiny(tmp_path / "base", "Llama")
    adapter = make_adapter(base, tmp_path / "adapter", lora(), is_trained=False).folder
    spec = EngineSpec("vllm", str(base), adapter=str(adapter), max_model_len="auto", threads=1)
    with pytest.raises(EngineError, match="changes no logit of"):
        open_engine(spec, log=tmp_path / "log.txt")
