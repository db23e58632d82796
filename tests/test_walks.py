"""The walks "publish your own preference dataset" and "evaluate your checkpoint": the README's lines, in a fresh shell.

What stands for the reader's own things is replaced, and nothing else: the model and the adapter, and the judge's host.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from lidr.evals.results import read_results
from lidr.resources import shared
from tests.engines.server import Server
from tests.evals.judge.answers import likes

README = Path(__file__).parent.parent / "README.md"
MODEL = "recipes/miniature/skewed-1"  # the one that the README offers


def shell_blocks(title: str) -> list[str]:
    """The shell blocks of a section of the README."""
    text = README.read_text(encoding="utf-8")
    section = re.split(r"\n## ", text[text.index(f"## {title}\n") + 3 :])[0]
    return re.findall(r"```sh\n(.*?)```", section, re.DOTALL)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """What a clone has after `make quickstart`, as far as the walks need it; the home is empty."""
    folder = tmp_path / "clone"
    (folder / "home").mkdir(parents=True)
    for name in ("recipes", "evals"):
        (folder / name).symlink_to(shared(name))
    return folder


def run(lines: str, clone: Path, replaced: Mapping[str, str]) -> str:
    """Run lines in a shell of their own, which ends what it started; what they print."""
    for old, new in replaced.items():
        assert old in lines
        lines = lines.replace(old, new)
    kept = {name: os.environ[name] for name in ("LANG", "LD_LIBRARY_PATH") if name in os.environ}
    around = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(clone / "home"),
        "HF_HOME": str(clone / "home" / "hf"),
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run(
        ["bash", "-ec", f"trap 'kill $(jobs -p) || true' EXIT\n{lines}"],
        cwd=clone,
        env={**kept, **around},
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    return done.stdout


def test_the_first_walk_ends_with_a_published_dataset_that_datasets_loads(clone):
    lines = "\n".join(shell_blocks("Publish your own preference dataset"))
    said = run(lines, clone, {"path/to/your-model": MODEL})
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
    lines, _plain_lm_eval = shell_blocks(
        "Evaluate your checkpoint"
    )  # the second: tests/evals/harness/test_plain_lm_eval.py
    write_adapter(clone / "adapter", clone / MODEL)
    with Server(lambda body, number: likes(0.3)) as judge:
        theirs = {
            "path/to/your-model": MODEL,
            "path/to/your-adapter": "adapter",
            "https://api.openai.com/v1": judge.url,
        }
        said = run(lines, clone, theirs)
        assert {head["Authorization"] for head in judge.headers} == {"Bearer your-key"}
    assert "lidr_x_alpacaeval_de" in said
    assert "<|assistant|>" in said
    before, after = read_results(clone / "scores/before"), read_results(clone / "scores/after")
    for results in (before, after):
        assert [task.data.asked for task in results.tasks] == [4] * 4
        assert {task.scores["n_judged"].value for task in results.of("x_alpacaeval")} == {4}
    assert (before.model.adapter, after.model.adapter) == (None, "./adapter")
    assert before.of("mgsm")[0].scores["acc"].value != after.of("mgsm")[0].scores["acc"].value
    assert "Language gap in accuracy" in said
    assert re.search(r"\nen +\d+\.\d ± \d+\.\d +\d+\.\d ± .* 0\n", said[said.index("against skewed-1") :])
    assert (clone / "gap.png").read_bytes().startswith(b"\x89PNG")
