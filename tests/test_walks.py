"""The walks docs/walks/publish.md and docs/walks/evaluate.md, line by line in a fresh shell.

What stands for the reader's own things is replaced, and nothing else: the model, the adapter, and a port.
"""

from __future__ import annotations

import json
import re
import socket
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from lidr.evals.results import read_results
from tests.documents.blocks import blocks, script
from tests.documents.shell import MODEL, make_clone, run


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """What a clone has after `make quickstart`, as far as the walks need it; the home is empty."""
    return make_clone(tmp_path / "clone")


def test_the_first_walk_ends_with_a_published_dataset_that_datasets_loads(clone):
    said = run(script("docs/walks/publish.md"), clone, {"path/to/your-model": MODEL})
    assert "my.yaml: valid." in said
    assert re.search(r"slots \(2 x prompts\) +4\n", said)
    kept = int(re.findall(r"\nkept +(\d+)\n", said)[0])
    assert kept > 0
    assert said.count("chosen") > 2
    assert re.search(r"\nyou/my-prefs +v0\.1\.0 +[0-9a-f]{40} +published\n", said)
    assert re.findall(r"num_rows: (\d+)", said) == [str(kept)] * 2  # from the run's folder, then from the Hub
    ((chosen, rejected),) = re.findall(r"Answer: (\d+) +│ Answer: (\d+)", said)  # the pair that is shown
    assert chosen != rejected


def write_adapter(folder: Path, base: Path) -> None:
    """A LoRA adapter of rank 2 over the query projection of the first layer, as peft writes it."""
    at = "model.layers.0.self_attn.q_proj"
    width = json.loads((base / "config.json").read_text(encoding="utf-8"))["hidden_size"]
    random = np.random.default_rng(0)
    sides = {"lora_A": (2, width), "lora_B": (width, 2)}
    weights = {
        f"base_model.model.{at}.{side}.weight": random.normal(0, 0.3, shape).astype(np.float32)
        for side, shape in sides.items()
    }
    folder.mkdir(parents=True)
    save_file(weights, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    config = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": 2, "lora_alpha": 4, "target_modules": [at]}
    (folder / "adapter_config.json").write_text(json.dumps(config), encoding="utf-8")


def test_the_third_walk_ends_with_two_judged_checkpoints_side_by_side(clone):
    said = run(script("docs/walks/evaluate.md"), clone, {"8099": str(free_port())})
    assert "lidr_mgsm_de" in said
    assert "<|assistant|>" in said
    before, after = read_results(clone / "scores/before"), read_results(clone / "scores/after")
    for results in (before, after):
        assert [task.data.asked for task in results.tasks] == [100] * 2
    skewed, mild = ({task.language: task.scores["acc"].value for task in one.tasks} for one in (before, after))
    assert skewed["en"] - skewed["de"] > mild["en"] - mild["de"]
    assert "language gap in accuracy" in said
    assert (clone / "gap.png").read_bytes().startswith(b"\x89PNG")
    judged = read_results(clone / "judged/before").of("x_alpacaeval")
    assert {task.scores["n_judged"].value for task in judged} == {4}
    assert "longer-is-better" in said


def test_the_third_walks_adapter_is_merged_and_answers_otherwise(clone):
    (adapted,) = (block.text for block in blocks("docs/walks/evaluate.md", "sh") if "--adapter" in block.text)
    write_adapter(clone / "adapter", clone / MODEL)
    quick = {"path/to/your-model": MODEL, "path/to/your-adapter": "adapter", "--out": "--limit 4 --max-tokens 40 --out"}
    run(adapted, clone, quick)
    results = read_results(clone / "scores/adapted")
    assert results.model.adapter == "./adapter"
    assert [task.data.asked for task in results.tasks] == [4] * 2


def free_port() -> int:
    """A port of this machine on which nobody listens."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
