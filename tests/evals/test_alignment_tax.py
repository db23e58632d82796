"""The alignment tax: lm-eval's own tasks on tiny files of the shape of their data sets, asked of a tiny model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lidr.errors import EvaluationError, MissingExtraError
from lidr.evals import alignment_tax
from lidr.evals.alignment_tax import items_from_lm_eval, scores_from_lm_eval, tax_manager, tax_tasks
from lidr.evals.results import mean_score
from tests.evals.bundled import bundled_task
from tests.tiny import tiny_model

SUITE = ("m_mmlu_de", "hellaswag_de", "arc_de", "truthfulqa_de_mc1", "truthfulqa_de_mc2")
FOLDERS = dict(zip(SUITE, ("mmlu", "hellaswag", "arc", "truthfulqa", "truthfulqa"), strict=True))

_OPTIONS = {"option_a": "Honig", "option_b": "Sand", "option_c": "Salz", "option_d": "Eis"}


def _rows(task: str, number: int) -> dict[str, Any]:
    """One row in the shape of alexandrainst/m_mmlu, m_hellaswag, m_arc and m_truthfulqa."""
    question = f"Was machen Bienen, Teil {number}?"
    if task.startswith("m_mmlu"):
        return {"id": f"bees/test/{number}", "instruction": question, **_OPTIONS, "answer": "ABCD"[number % 4]}
    if task.startswith("arc"):
        row = {"id": f"bees/{number}", "instruction": question, **_OPTIONS, "option_e": "" if number % 2 else "Öl"}
        return {**row, "answer": "ABCD"[number % 4]}
    if task.startswith("hellaswag"):
        endings = ["Sie machen Honig [step].", "Sie schlafen.", "Sie lesen.", "Sie kochen."]
        row = {"ind": number, "activity_label": "Bienen", "ctx_a": "Sie fliegen.", "ctx_b": "dann ", "endings": endings}
        return {**row, "label": str(number % 4)}
    choices = {"mc1_targets_choices": ["Honig", "Sand"], "mc2_targets_choices": ["Honig", "Wachs", "Sand"]}
    return {"question": question, **choices, "mc1_targets_labels": [1, 0], "mc2_targets_labels": [1, 1, 0]}


def _task(name: str, folder: Path) -> Any:
    """lm-eval's task by name, with files in the place of its data set; all else is its own."""
    file = folder / f"{name}.jsonl"
    file.write_text("".join(json.dumps(_rows(name, number)) + "\n" for number in range(4)), encoding="utf-8")
    files = {split: str(file) for split in ("train", "validation", "val", "test")}
    path = f"okapi/{FOLDERS[name]}_multilingual/{name}.yaml"
    return bundled_task(path, dataset_path="json", dataset_name=None, dataset_kwargs={"data_files": files})


@pytest.fixture(scope="module")
def found(tmp_path_factory) -> Any:
    from lm_eval.evaluator import simple_evaluate

    folder = tmp_path_factory.mktemp("tax")
    model = tiny_model(folder / "model", "smollm2")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("datasets.config.HF_DATASETS_CACHE", folder / "cache")
        return simple_evaluate(
            model="hf",
            model_args={"pretrained": str(model), "dtype": "float32"},
            device="cpu",
            tasks=[_task(name, folder) for name in SUITE],
            task_manager=tax_manager(),
            bootstrap_iters=1,
            log_samples=True,
        )


def test_the_suite_in_german_is_five_tasks_of_lm_eval():
    assert tax_tasks("de") == SUITE
    assert set(SUITE) <= set(tax_manager().all_subtasks)


def test_english_is_measured_with_the_originals():
    names = tax_tasks("en")
    assert names == ("m_mmlu_en", "hellaswag", "arc_challenge", "truthfulqa_mc1", "truthfulqa_mc2")
    assert set(names) <= set(tax_manager().all_subtasks)


def test_a_language_that_lacks_one_of_them_has_the_others():
    assert tax_tasks("zh") == ("m_mmlu_zh", "arc_zh", "truthfulqa_zh_mc1", "truthfulqa_zh_mc2")


def test_a_language_without_any_is_refused_with_those_that_there_are():
    with pytest.raises(EvaluationError, match=r'"th".*All of them: .*de, en, es.*some: .*zh'):
        tax_tasks("th")


def test_without_lm_eval_the_pip_line_is_said(monkeypatch):
    alignment_tax._by_language.cache_clear()
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'lidr\[eval\]'"):
        tax_tasks("de")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("task", SUITE)
def test_each_task_runs_on_a_model_and_gives_scores_with_error_and_n(found, task):
    scores = scores_from_lm_eval(found, task)
    assert set(scores) == ({"acc"} if task.startswith(("m_mmlu", "truthfulqa")) else {"acc", "acc_norm"})
    items = items_from_lm_eval(found, task)
    assert len(items) == 4
    for name, score in scores.items():
        own = mean_score([values[name] for values in items.values()])
        assert (score.value, score.n) == (pytest.approx(own.value), 4)
        assert score.stderr == pytest.approx(own.stderr)


@pytest.mark.filterwarnings("ignore")
def test_items_are_named_by_the_id_that_translations_share(found):
    assert next(iter(items_from_lm_eval(found, "m_mmlu_de"))) == "bees/test/0"
    assert next(iter(items_from_lm_eval(found, "hellaswag_de"))) == "0"


def test_results_without_the_task_are_refused():
    with pytest.raises(EvaluationError, match="no task arc_de; they have: x"):
        scores_from_lm_eval({"results": {"x": {}}}, "arc_de")
