"""lm-eval's vllm back end on the CPU build: the answers of its hf back end, of a model with a merged adapter."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

from lidr.evals.benchmarks import task_specs
from lidr.evals.checkpoint import find_checkpoint
from lidr.evals.harness.answer_process import answer
from lidr.evals.spec import Decoding
from tests.adapters import lora, make_adapter
from tests.evals.asked import scripted_spec
from tests.thinking import scripted_policy

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vLLM is not installed"),
]
HALF = "\ufffd"
"""What transformers writes for the bytes of a character that the last token cut in half; vLLM writes nothing."""


def test_vllm_and_hf_give_the_same_answers_of_a_model_with_an_adapter(smollm2: Path, tmp_path: Path, monkeypatch):
    monkeypatch.setenv("LIDR_STORE", str(tmp_path / "store"))
    adapter = make_adapter(smollm2, tmp_path / "adapter", lora(modules_to_save=["lm_head"])).folder
    folder = find_checkpoint(str(smollm2), str(adapter)).folder
    own = {"eos_token_id": 2, "max_new_tokens": 1, "repetition_penalty": 1.8}  # no back end obeys it
    (folder / "generation_config.json").write_text(json.dumps(own), encoding="utf-8")
    how = {"model": str(folder), "max_model_len": 512, "decoding": Decoding(max_tokens=6)}
    said = {
        backend: answer(
            scripted_spec(tmp_path / backend, backend=backend, **how),
            log=tmp_path / f"{backend}.log",
            on_answers=lambda count: None,
        )
        for backend in ("hf", "vllm")
    }
    whole = [{key: text.rstrip(HALF) for key, text in found.responses.items()} for found in said.values()]
    same = sum(whole[0][key] == whole[1][key] for key in whole[0])
    assert whole[0].keys() == whole[1].keys()
    assert max(map(len, whole[1].values())) > 10  # more than one token
    assert same >= 0.7 * len(whole[0])  # near ties; without the adapter not one is the same


@pytest.mark.parametrize(("budget", "said"), [(2, "18"), (None, "")])
def test_vllm_cuts_thoughts_and_ends_them_at_their_budget(tmp_path: Path, monkeypatch, budget: int | None, said: str):
    """Six tokens are too few for the whole thought: without a budget nothing is answered."""
    monkeypatch.setenv("VLLM_ENABLE_V1_MULTIPROCESSING", "0")  # starts sooner
    spec = scripted_spec(
        tmp_path / "asked",
        backend="vllm",
        model=str(scripted_policy(tmp_path / "policy", "qwen3", "<think>Answer: 36</think>18")),
        tasks=task_specs(("mgsm",), ("en",)),
        decoding=Decoding(max_tokens=6, thinking_budget=budget),
        threads=1,
        max_model_len=400,
    )
    found = answer(spec, log=tmp_path / "log.txt", on_answers=lambda count: None)
    assert {*found.responses.values()} == {said}
