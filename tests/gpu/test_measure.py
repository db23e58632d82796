"""The script for a card works: run on the CPU with a tiny model. It was never run on a card."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(not os.environ.get("LIDR_PROVE"), reason="a long proof: make prove gpu")
def test_every_part_of_the_script_gives_numbers(tmp_path):
    out = tmp_path / "result.json"
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "VLLM_CPU_KVCACHE_SPACE": "1", "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-m", "tests.gpu.measure", "--tiny", "--out", str(out)]
    subprocess.run(command, check=True, cwd=ROOT, env=environment)
    found = json.loads(out.read_text())
    assert {name: part["error"] for name, part in found.items() if isinstance(part, dict) and "error" in part} == {}
    assert found["model"]["parameters"] > 10_000
    assert found["transformers"]["tokens"] > 0
    assert found["lora"]["pairs"] == 8
    assert abs(found["lora"]["first_dpo"] - 0.6931) < 1e-3
    assert found["lora"]["peak_gb"] > 0
    assert found["lora"]["estimated_gb"] > 0
    if "left_out" not in found["vllm"]:
        assert found["bare_vllm"]["first_tokens_as_lidr"] == 1.0
        assert found["transformers"]["first_tokens_as_vllm"] == 1.0
        assert found["bare_vllm"]["lidr_over_bare"] > 0


def test_without_a_card_the_large_run_says_so(tmp_path, monkeypatch):
    from tests.gpu.measure import SIZES, Measurement, _machine

    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    run = Measurement(SIZES[False], tmp_path / "out.json", tmp_path)
    run.part("machine", _machine)
    told = json.loads((tmp_path / "out.json").read_text())["machine"]["error"]
    assert told == "RuntimeError: no card is to be seen here; use --tiny on a CPU" or run.found["machine"].get("cards")
