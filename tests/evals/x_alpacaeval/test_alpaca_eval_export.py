"""Answers in alpaca_eval's form: what is written, and that alpaca_eval itself reads it."""

from __future__ import annotations

import json

import pytest

from lidr.errors import EvaluationError
from lidr.evals.benchmark_rows import load_rows
from lidr.evals.model_outputs import read_outputs
from lidr.evals.x_alpacaeval.alpaca_eval_export import export_alpaca_eval
from tests.parity.answered import OWN, answered
from tests.parity.other_environment import require_alpaca_eval, run_alpaca_eval


@pytest.fixture
def results(tmp_path):
    """Answers of a model to eight instructions in two languages."""
    return answered(
        tmp_path / "run", "our-model", lambda row, language: f"{language} {row['item']}", ["de", "fr"], limit=8
    )


def test_every_answer_is_written_beside_its_instruction_and_its_reference(results, tmp_path):
    files = export_alpaca_eval(results, tmp_path / "out", data=OWN)
    names = [file.name for file in files]
    assert names == [f"{kind}_outputs_{language}.json" for language in ("de", "fr") for kind in ("model", "reference")]
    rows = load_rows("x_alpacaeval", "de", OWN).rows[:8]
    model, reference = (json.loads(file.read_text(encoding="utf-8")) for file in files[:2])
    assert [row["instruction"] for row in model] == [row["instruction"] for row in rows]
    assert [row["instruction"] for row in reference] == [row["instruction"] for row in rows]
    assert [row["output"] for row in model] == [f"de {row['item']}" for row in rows]
    assert [row["output"] for row in reference] == [row["reference"] for row in rows]
    assert {row["generator"] for row in model} == {"our-model"}
    assert {row["generator"] for row in reference} == {row["generator"] for row in rows}
    assert [row["dataset"] for row in model] == [row["dataset"] for row in rows]


def test_what_was_exported_reads_back_as_the_same_answers(results, tmp_path):
    export_alpaca_eval(results, tmp_path / "out", with_reference=False)
    again, before = read_outputs(tmp_path / "out"), read_outputs(results)
    assert again.name == before.name
    assert again.by_language == before.by_language
    assert again.sha256("de") == before.sha256("de")


def test_alpaca_eval_reads_what_was_exported(results, tmp_path):
    require_alpaca_eval()
    model, _, *_ = export_alpaca_eval(results, tmp_path / "out", data=OWN)
    loaded = run_alpaca_eval({"outputs": str(model)}, tmp_path)["loaded"]
    assert loaded["rows"] == 8
    assert {"instruction", "output", "generator", "dataset"} <= set(loaded["columns"])
    assert loaded["first"]["output"] == "de open-0"


def test_references_to_other_rows_are_refused(results, tmp_path):
    other = tmp_path / "other" / "open_instructions"
    other.mkdir(parents=True)
    (other / "de.jsonl").write_text('{"id": "open-0", "instruction": "Was?", "output": "Das."}')
    with pytest.raises(
        EvaluationError, match=r"open_instructions/de\.jsonl: sha256 .*, but the answers are to .*--without-"
    ):
        export_alpaca_eval(results, tmp_path / "out", data=str(tmp_path / "other"))


def test_files_that_are_no_results_are_refused(tmp_path):
    (tmp_path / "model_outputs_de.json").write_text('[{"instruction": "Was?", "output": "Das."}]')
    with pytest.raises(EvaluationError, match=r"no results\.json here"):
        export_alpaca_eval(tmp_path, tmp_path / "out")
