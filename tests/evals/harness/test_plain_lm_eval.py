"""lm-eval's own command on our task files, as docs/walks/evaluate.md gives it, without network or judge."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lidr.evals.mgsm import mgsm_task
from lidr.evals.results import mean_score
from lidr.evals.x_alpacaeval import x_alpacaeval_task
from lidr.resources import shared
from tests.documents.blocks import blocks
from tests.tiny import tiny_model

pytestmark = pytest.mark.slow  # lm_eval reads all its own task files first

TASKS = ("lidr_mgsm_de", "lidr_mgsm_fr_instr", "lidr_x_alpacaeval_fr")
PAGE = "docs/walks/evaluate.md"


def command() -> list[str]:
    """The page's words, after `lm_eval`."""
    (lines,) = (block.text for block in blocks(PAGE, "sh") if block.text.startswith("lm_eval "))
    return shlex.split(lines.replace("\\\n", " "))[1:]


@pytest.fixture(scope="module")
def output(tmp_path_factory) -> Path:
    """One run for all: lm_eval's command first reads all its own task files, which takes most of the time."""
    folder = tmp_path_factory.mktemp("plain")
    model = tiny_model(folder / "model", "qwen2", max_positions=1024)
    (folder / "evals").symlink_to(shared("evals"))
    options = [word.replace("path/to/your-model", f"{model},dtype=float32") for word in command()]
    assert ",".join(TASKS) in options
    options += ["--device", "cpu", "--batch_size", "2", "--gen_kwargs", "max_gen_toks=24"]
    options += ["--limit", "2", "--log_samples"]
    outside = {name: value for name, value in os.environ.items() if not name.startswith("LIDR_")}
    run = subprocess.run(
        [sys.executable, "-m", "lm_eval", *options, "--output_path", str(folder / "out")],
        env={**outside, "LIDR_DATA": str(shared("recipes") / "prompts"), "HF_HUB_OFFLINE": "1"},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    return folder / "out"


def results(output: Path) -> dict[str, Any]:
    (file,) = output.rglob("results_*.json")
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found


def samples(output: Path, task: str) -> list[dict[str, Any]]:
    (file,) = output.rglob(f"samples_{task}_2*.jsonl")
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("task", TASKS[:2])
def test_lm_evals_numbers_are_those_that_our_functions_give_on_the_logged_answers(output, task):
    rows = samples(output, task)
    assert [row["doc_id"] for row in rows] == [0, 1]
    language = task.split("_")[2]
    scored = [mgsm_task.score(row["doc"], row["resps"][0][0], language=language) for row in rows]
    for row, one in zip(rows, scored, strict=True):
        assert {name: row[name] for name in mgsm_task.METRICS} == one.values
        assert row["reading"] == {"item": row["doc"]["item"], **one.detail}
    found = results(output)["results"][task]
    for name, score in mgsm_task.summarise([one.values for one in scored]).items():
        value = found[f"{name},lidr"]
        assert value == score.value or (score.value is None and value != value)


def test_the_whole_prompt_went_through_the_models_chat_template(output):
    for task in TASKS[:2]:
        sample = samples(output, task)[0]
        sent = sample["arguments"]["gen_args_0"]["arg_0"]
        assert f"<|im_start|>user\n{sample['doc']['prompt']}<|im_end|>\n<|im_start|>assistant\n" in sent
        assert sample["arguments"]["gen_args_0"]["arg_1"]["until"] == []


def test_without_a_judge_x_alpacaeval_gives_lengths_and_no_win_rate(output):
    task = TASKS[2]
    found = results(output)["results"][task]
    assert found["win_rate,judge"] != found["win_rate,judge"]
    assert found["n_judged,judge"] == 0
    responses = [row["resps"][0][0] for row in samples(output, task)]
    assert found["avg_length,judge"] == mean_score([float(len(text)) for text in responses]).value
    (doc, *_) = [row["doc"] for row in samples(output, task)]
    assert x_alpacaeval_task.prompt_of(doc, "fr") == doc["instruction"]


def test_what_lm_eval_writes_names_no_judge_key_and_holds_how_it_asked(output):
    configs = results(output)["configs"]
    for task in TASKS:
        kwargs = configs[task]["generation_kwargs"]
        assert (kwargs["until"], kwargs["do_sample"], configs[task]["num_fewshot"]) == ([], False, 0)
