"""The evaluate step: the first policy once, then the policy of each iteration, on the same items."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import lidr
from lidr.errors import PlanError, RecipeError
from lidr.evals.results import read_results
from lidr.references import RunReference
from lidr.rows import RowType
from lidr.steps import STEPS
from lidr.store.artifact import open_artifact
from tests.evals.asked import ANSWERS, write_rows
from tests.scripted import RECIPE, write_world

STEP = "  - evaluate: {{tasks: [mgsm], data: [{folder}/rows], max_tokens: 32}}\n"
WITH_STEP = (
    RECIPE.replace("iterations:\n", STEP + "iterations:\n").replace('  - prompts: "4:8"\n', "").replace("es, de", "de")
)


def world(folder: Path, recipe: str = WITH_STEP) -> Path:
    path = write_world(folder, recipe)
    write_rows(folder / "rows")
    answers = folder / "answers.jsonl"
    rules = "".join(json.dumps(rule) + "\n" for rule in ANSWERS[:-1])
    answers.write_text(rules + answers.read_text(encoding="utf-8"), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    recipe = lidr.load_recipe(world(tmp_path_factory.mktemp("evaluated") / "world"))
    return lidr.run(recipe)


def test_the_first_policy_is_evaluated_once_and_then_that_of_each_iteration(finished):
    places = [step.place for step in finished.steps if step.name == "evaluate"]
    assert places == ["iter_0/evaluate", "iter_1/evaluate"]
    by_place = {step.place: step for step in finished.steps}
    assert by_place["iter_1/evaluate"].inputs["scores_0"] == "iter_0/evaluate"
    assert {step.state for step in finished.steps} == {"cached"}


def test_its_rows_are_one_value_for_each_item_and_metric(finished):
    artifact = open_artifact(finished.version_folder / "iter_1/evaluate")
    rows = artifact.read().to_pylist()
    kind: RowType = STEPS["evaluate"].writes
    assert len({tuple(row[key] for key in kind.key) for row in rows}) == len(rows)
    acc = {row["item"]: row["value"] for row in rows if (row["task"], row["metric"]) == ("lidr_mgsm_en", "acc")}
    assert acc == {"0": 1.0, "1": 1.0, "2": 0.0}


def test_its_record_holds_the_scores_and_what_changed_since_the_first_policy(finished):
    first, second = (open_artifact(finished.version_folder / f"iter_{k}/evaluate").record.counts for k in (0, 1))
    assert first["tasks"][0]["scores"]["acc"]["n"] == 3
    assert first["differences"] == []
    changes = {(d["metric"], d["language"]): d for d in second["differences"]}
    assert changes["acc", "en"]["value"] == 0
    assert changes["acc", "all"]["baseline"] == "iter_0"


def test_its_results_folder_is_what_the_command_writes_for_any_checkpoint(finished):
    results = read_results(finished.version_folder / "iter_1/evaluate/results")
    assert results.name == "scripted/iter_1"
    assert results.model.reference == str(RunReference("scripted", "0.1.0", 0, "policy"))


def test_rows_that_change_are_drift_and_where_they_lie_is_not(finished, tmp_path):
    recipe = finished.recipe
    step = next(step for step in recipe.chain if step.name == "evaluate")
    moved = step.config.model_copy(update={"data": (write_rows(tmp_path / "moved"),)})
    planned = lidr.plan(_with(recipe, moved))
    assert {s.state for s in planned.steps} == {"cached"}
    path = tmp_path / "moved/word_problems/de.jsonl"
    path.write_text(path.read_text(encoding="utf-8").replace("Was ist", "Wie viel ist"), encoding="utf-8")
    drifted = lidr.plan(_with(recipe, moved)).in_state("drifted")
    assert {s.place for s in drifted} == {"iter_0/evaluate", "iter_1/evaluate"}
    assert re.search(
        r"what it reads has changed: rows\.lidr_mgsm_de\[0\]: sha256 \w{12} -> sha256 \w{12}$", drifted[0].why[0]
    )


def _with(recipe, config):
    chain = tuple(
        step.model_copy(update={"config": config}) if step.name == "evaluate" else step for step in recipe.chain
    )
    return recipe.model_copy(update={"chain": chain})


def test_data_that_are_nowhere_are_found_by_the_plan(tmp_path):
    recipe = lidr.load_recipe(world(tmp_path / "world", WITH_STEP.replace("{folder}/rows", "{folder}/nowhere")))
    with pytest.raises(PlanError, match=r"evaluate\.data: none of .*nowhere is there; give a folder with"):
        lidr.plan(recipe)


def test_a_judge_that_can_move_is_refused(tmp_path):
    text = WITH_STEP.replace("tasks: [mgsm]", "tasks: [x_alpacaeval], judge: {{model: org/judge}}")
    recipe = lidr.load_recipe(world(tmp_path / "world", text))
    with pytest.raises(PlanError, match=r"evaluate\.judge\.model: org/judge is not pinned; write org/judge@COMMIT"):
        lidr.plan(recipe)


def test_an_unknown_task_names_those_that_there_are(tmp_path):
    with pytest.raises(RecipeError, match="mgsm"):
        lidr.load_recipe(world(tmp_path / "world", WITH_STEP.replace("[mgsm]", "[gsm8k]")))
