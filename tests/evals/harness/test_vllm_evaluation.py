"""lm-eval's vllm back end on the CPU build: the same answers as its hf back end, and an adapter that is in use."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from lidr.evals.harness.answer_process import answer
from lidr.evals.spec import Decoding
from tests.evals.asked import scripted_spec
from tests.evals.harness.test_backends import adapter_over

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vLLM is not installed"),
]
HALF = "\ufffd"
"""What transformers writes for the bytes of a character that the last token cut in half; vLLM writes nothing."""


def test_vllm_and_hf_give_the_same_answers_with_an_adapter_that_both_prove_to_be_in_use(smollm2: Path, tmp_path: Path):
    adapter = adapter_over(smollm2, tmp_path / "adapter", is_trained=True)
    how = {"model": str(smollm2), "adapter": str(adapter), "max_model_len": 512, "decoding": Decoding(max_tokens=6)}
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
    assert same >= 0.7 * len(whole[0])  # near ties; without the adapter not one is the same
    assert all((found.adapter_shift or 0) > 0.1 for found in said.values())
