"""`lidr merge`, and what an evaluation makes of the same base and adapter: the same answers."""

from __future__ import annotations

import json

import pytest

from lidr.cli.main import main
from lidr.evals.results import read_results, read_samples
from tests.adapters import ADDED, TEMPLATE, lora, make_adapter
from tests.evals.asked import write_rows
from tests.tiny import tiny_model


@pytest.fixture(autouse=True)
def _store(tmp_path, monkeypatch):
    monkeypatch.setenv("LIDR_STORE", str(tmp_path / "store"))


def test_base_and_adapter_and_the_folder_that_they_become_are_evaluated_alike(tmp_path, capsys):
    base = tiny_model(tmp_path / "base", "smollm2", seed=5)
    how = {"added": ADDED, "tokenizer": True, "template": TEMPLATE}
    adapter = make_adapter(base, tmp_path / "over", lora(modules_to_save=["lm_head", "embed_tokens"]), **how).folder
    out = tmp_path / "merged"
    assert main(["merge", "--model", str(base), "--adapter", str(adapter), "--out", str(out)]) == 0
    said = capsys.readouterr()
    assert "resized from 448 to 450 rows" in said.err
    assert said.out.endswith("merged: ./base with ./over\n")
    rows = write_rows(tmp_path / "rows")
    asked = [
        "eval",
        "run",
        "--tasks",
        "mgsm",
        "--langs",
        "en,de",
        "--data",
        rows,
        "--max-tokens",
        "8",
        "--threads",
        "1",
    ]
    for name, model in (
        ("over", ["--model", str(base), "--adapter", str(adapter)]),
        ("plain", ["--model", str(out)]),
        ("base", ["--model", str(base)]),
    ):
        assert main([*asked, *model, "--out", str(tmp_path / name)]) == 0
    over, plain, alone = (read_samples(tmp_path / name)["response"].to_pylist() for name in ("over", "plain", "base"))
    assert over == plain != alone
    facts = read_results(tmp_path / "over").model
    assert (facts.adapter, facts.adapter_shift is not None) == ("./over", True)
    assert "stands beside the adapter over is used, with its chat template" in capsys.readouterr().err


def test_what_is_there_is_not_written_over_and_facts_come_as_json(tmp_path, capsys):
    base = tiny_model(tmp_path / "base", "llama3")
    adapter = make_adapter(base, tmp_path / "over", lora()).folder
    words = ["merge", "--model", str(base), "--adapter", str(adapter), "--out", str(tmp_path / "merged"), "--json"]
    assert main(words) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["schema"], said["adapter"], said["notes"]) == ("lidr.merge/1", "./over", [])
    assert main(words) == 2
    assert "merged: exists already; choose another folder" in capsys.readouterr().err
