"""LLaMA-Factory and axolotl themselves read what we export for them, in an environment of their own.

    python -m venv .venv/trainers
    .venv/trainers/bin/python -m pip install --no-deps llamafactory==0.9.5 axolotl==0.19.0 addict

They are installed without their dependencies, and find these here: only their readers of data are run.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest

from lidr.preferences.export_forms import export_pairs
from lidr.preferences.pair_source import open_pairs
from lidr.preferences.query import PairQuery
from tests.tiny import tiny_model

PYTHON = Path(os.environ.get("LIDR_TRAINERS", Path(sys.prefix) / "trainers")) / "bin/python"


def read_by(trainer: str, *words: str) -> list[Any]:
    if not PYTHON.is_file():
        pytest.skip("the trainers' environment is not installed: see the head of this file")
    command = [str(PYTHON), str(Path(__file__).with_name("trainers_check.py")), trainer, *words]
    environment = {**os.environ, "PYTHONPATH": sysconfig.get_path("purelib"), "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, env=environment, text=True, capture_output=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture
def pairs(tmp_path) -> Path:
    rows = [
        {
            "prompt": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": f"Is {n} even?"}],
            "chosen": f"{n} is not odd.",
            "rejected": "Who knows?",
        }
        for n in range(3)
    ]
    (tmp_path / "set.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path / "set.jsonl"


def test_llama_factory_takes_the_rows_as_preference_pairs(pairs, tmp_path):
    folder = export_pairs(open_pairs(str(pairs)), PairQuery(), "llama-factory", tmp_path / "x").folder
    found = read_by("llama-factory", str(folder))
    assert [row["_prompt"] for row in found] == [[{"role": "user", "content": f"Is {n} even?"}] for n in range(3)]
    assert [[turn["content"] for turn in row["_response"]] for row in found] == [
        [f"{n} is not odd.", "Who knows?"] for n in range(3)
    ]
    assert {row["_system"] for row in found} == {"Be brief."}


def test_axolotl_renders_prompt_and_both_sides(pairs, tmp_path):
    folder = export_pairs(open_pairs(str(pairs)), PairQuery(), "axolotl", tmp_path / "x").folder
    found = read_by("axolotl", str(folder), str(tiny_model(tmp_path / "model", "llama3")))
    assert [row["chosen"] for row in found] == [f"{n} is not odd.<|eot_id|>" for n in range(3)]
    assert {row["rejected"] for row in found} == {"Who knows?<|eot_id|>"}
    assert "Be brief." in found[0]["prompt"]
    assert "Is 0 even?" in found[0]["prompt"]
