"""Repetitions and benchmark questions go, each with what it repeats or holds."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import lidr
from lidr.errors import PlanError, RecipeError
from lidr.steps.clean.clean_step import _READ, CleanConfig, Near, _Seen
from lidr.store.artifact import open_artifact

LONG = " ".join(f"word{i}" for i in range(60))
QUESTION = "Ein Kleid erfordert zwei Knäuel blaue Wolle und halb so viel weiße Wolle wie viele Knäuel sind es dann?"


@pytest.fixture
def world(tmp_path) -> Path:
    """Six pairs: an exact repetition, a near one, one with a question, and two slots of one prompt."""
    base = {"id": "p", "lang": "de", "other": "en", "kind": "non_dominant"}
    rows = [
        {**base, "id": "p1", "prompt": "Eins?", "chosen": LONG, "rejected": "nein"},
        {**base, "id": "p2", "prompt": "Eins?", "chosen": LONG, "rejected": "nein"},
        {**base, "id": "p3", "prompt": "Eins?", "chosen": LONG + " mehr", "rejected": "nein"},
        {**base, "id": "p4", "prompt": f"Frage: {QUESTION.upper()}", "chosen": "Drei.", "rejected": "Zwei."},
        {**base, "id": "p5", "prompt": "Zwei?", "chosen": "zu " + LONG, "rejected": "a", "lang": "en", "other": "de",
         "kind": "dominant"},
        {**base, "id": "p5", "prompt": "Zwei?", "chosen": "zu " + LONG, "rejected": "b", "lang": "en", "other": "es",
         "kind": "dominant"},
    ]  # fmt: skip
    (tmp_path / "set.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests/de.jsonl").write_text(json.dumps({"question": QUESTION}) + "\n")
    return tmp_path


def run(world: Path, clean: str, *, until: str = "clean"):
    (world / "r.yaml").write_text(
        f"""\
schema: 1
name: clean
version: 0.1.0
languages: {{dominant: en, others: [de, es]}}
policy: {{model: "openai:canned@http://127.0.0.1:9"}}
chain:
  - pairs:
      dataset: {world}/set.jsonl
      columns: {{id: id, language: lang, other_language: other, kind: kind}}
  - clean: {clean}
runtime: {{engine: scripted, answers: {world}/set.jsonl, store: {world}/runs}}
"""
    )
    return lidr.run(lidr.load_recipe(world / "r.yaml"), until=until)


def dropped(world: Path, clean: str) -> tuple[list[str], dict[str, tuple[str, str]], dict[str, object]]:
    """Prompts that stayed, prompt -> reason and detail, counts."""
    planned = run(world, clean)
    artifact = open_artifact(planned.version_folder / "iter_1/clean")
    gone = pl.DataFrame(artifact.read("dropped"))
    reasons = {row["prompt_id"]: (row["reason"], row["detail"]) for row in gone.iter_rows(named=True)}
    return pl.DataFrame(artifact.read())["prompt_id"].to_list(), reasons, artifact.record.counts


def test_an_exact_repetition_goes_and_names_what_it_repeats(world):
    stayed, gone, counts = dropped(world, "{exact: true}")
    assert gone == {"p2": ("exact_duplicate", "as set.jsonl/0")}
    assert stayed == ["p1", "p3", "p4", "p5", "p5"]
    assert sum(row["count"] for row in counts["kept"]) == 5


def test_a_near_repetition_goes_but_not_the_other_slot_of_a_prompt(world):
    stayed, gone, _ = dropped(world, "{exact: true, near: {threshold: 0.8}}")
    assert gone["p2"] == ("exact_duplicate", "as set.jsonl/0, similarity 1.00")
    assert gone["p3"][0] == "near_duplicate"
    assert gone["p3"][1].startswith("as set.jsonl/0, similarity 0.9")
    assert stayed == ["p1", "p4", "p5", "p5"]


def test_signatures_of_what_is_left_are_not_copied_into_memory(tmp_path):
    frame = {name: ["x"] * 4000 for name in _READ}
    frame |= {"prompt_id": [str(i) for i in range(4000)], "chosen_text": [f"{i} a b c d e" for i in range(4000)]}
    frame["chosen_text"][1] = frame["chosen_text"][0]
    seen = _Seen(4000, CleanConfig(exact=True, near=Near(threshold=0.9)), tmp_path)
    seen.look(pl.DataFrame(frame), None)
    kept = seen._signed_of(np.delete(np.arange(4000), 1))
    assert isinstance(kept, np.memmap)
    assert (kept == np.delete(np.asarray(seen.signed), 1, axis=0)).all()
    assert seen.repeats()[0].tolist()[:3] == [-1, 0, -1]


def test_near_alone_finds_exact_repetitions_too(world):
    _, gone, _ = dropped(world, "{near: {threshold: 0.9}}")
    assert {name: reason for name, (reason, _) in gone.items()} == {"p2": "near_duplicate", "p3": "near_duplicate"}


def test_a_pair_that_holds_a_question_goes_and_the_report_counts_it(world):
    stayed, gone, counts = dropped(world, f"{{decontaminate: {{against: [{world}/tests]}}}}")
    assert gone == {"p4": ("contaminated", "prompt holds tests/de 0")}
    assert len(stayed) == 5
    (row,) = counts["against"]
    assert (row["language"], row["questions"], row["questions_found"], row["pairs"]) == ("de", 1, 1, 1)


def test_mgsm_and_x_alpacaeval_are_looked_for_in_the_recipes_languages(world, data_folder, monkeypatch):
    line = (data_folder / "mgsm/es.jsonl").read_text(encoding="utf-8").splitlines()[7]
    row = {"id": "q", "lang": "es", "other": "en", "kind": "non_dominant", "prompt": "Di algo.", "rejected": "No.",
           "chosen": "Un problema: " + json.loads(line)["query"]}  # fmt: skip
    with (world / "set.jsonl").open("a") as file:
        file.write(json.dumps(row) + "\n")
    _, gone, counts = dropped(world, "{decontaminate: {against: [mgsm, x_alpacaeval]}}")
    assert gone["q"] == ("contaminated", "chosen holds mgsm/es 7")
    assert {(row["benchmark"], row["language"]) for row in counts["against"]} == {
        (benchmark, language) for benchmark in ("mgsm", "x_alpacaeval") for language in ("en", "de", "es")
    }


def test_another_test_set_is_another_identity(world):
    clean = f"{{decontaminate: {{against: [{world}/tests]}}}}"
    run(world, clean)
    (world / "tests/de.jsonl").write_text(json.dumps({"question": "Eine andere Frage?"}) + "\n")
    (step,) = [s for s in lidr.plan(lidr.load_recipe(world / "r.yaml")).steps if s.name == "clean"]
    assert step.state == "drifted"


@pytest.mark.parametrize(
    ("clean", "said"),
    [
        ("{}", "name what to take out: exact, near or decontaminate"),
        ("{decontaminate: {against: [mgms]}}", 'against "mgms": write mgsm, x_alpacaeval, a folder or file as ./name'),
        ("{near: {threshold: 0.1}}", "greater than 0.3"),
    ],
)
def test_settings_that_mean_nothing_are_refused(world, clean, said):
    with pytest.raises(RecipeError, match=said):
        run(world, clean)


def test_data_that_are_not_here_are_said(world, monkeypatch):
    with pytest.raises(PlanError, match=r"no folder or file \./nowhere"):
        run(world, "{decontaminate: {against: [./nowhere]}}")
    (world / "tests/de.jsonl").write_text(json.dumps({"x": "y"}) + "\n")
    with pytest.raises(PlanError, match="has no questions: a column question, query"):
        run(world, f"{{decontaminate: {{against: [{world}/tests]}}}}")
    monkeypatch.delenv("LIDR_DATA", raising=False)
    with pytest.raises(PlanError, match="mgsm: set LIDR_DATA to the folder that holds it"):
        run(world, "{decontaminate: {against: [mgsm]}}")
