"""The evaluate step with AlpacaEval's two files: a small world whose two instructions stand for AlpacaEval's 805."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

import lidr
from lidr.analysis.recorded_scores import evaluated
from lidr.cli.main import main
from lidr.errors import EvaluationError, PlanError, RecipeError
from lidr.evals import length_control
from lidr.evals.compare.paired_comparison import compare
from lidr.evals.length_control import lc_win_rate_v1, read_length_control
from lidr.evals.reader import item_values, open_evaluations
from lidr.evals.results import read_results, read_samples, read_scores
from lidr.release.cards.score_tables import results_section
from lidr.report.scores.score_text import scores_text
from lidr.store.artifact import open_artifact
from tests.engines.server import Server
from tests.evals.asked import INSTRUCTIONS
from tests.evals.judge.answers import likes
from tests.steps.test_evaluate import WITH_STEP, world

SETTINGS = "tasks: [x_alpacaeval], judge: {{{{model: URL, mode: logprob}}}}, length_control: {place}"
SCORE = "lc_win_rate_v1"


@pytest.fixture(autouse=True)
def _alpaca_eval(monkeypatch):
    prompts = list(INSTRUCTIONS["en"])
    monkeypatch.setattr(length_control, "ROWS", len(prompts))
    monkeypatch.setattr(length_control, "BASELINE", "ref")
    monkeypatch.setattr(length_control, "INSTRUCTIONS_SHA256", hashlib.sha256(json.dumps(prompts).encode()).hexdigest())


def write_files(folder: Path, difficulty: str = "0.4") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "instruction_difficulty.csv").write_text(f"index,instruction_difficulty\n0,{difficulty}\n1,-1.2\n")
    rows = "".join(f"{index},{length},{0.1 * index},{0.2 + 0.3 * index}\n" for index in (0, 1) for length in (-1, 1))
    (folder / "df_gamed.csv").write_text(f"index,std_delta_len,instruction_difficulty,preference\n{rows}")
    return folder


def recipe_file(folder: Path, place: str = "{folder}/control", url: str = "http://127.0.0.1:9/v1") -> Path:
    step = WITH_STEP.replace("tasks: [mgsm]", SETTINGS.format(place=place)).replace("URL", f'"openai:j@{url}"')
    path = world(folder, step)
    write_files(folder / "control")
    with (folder / "answers.jsonl").open("a") as answers:
        answers.write(json.dumps({"match": "blue|blau", "text": "Because of the air."}) + "\n")
    return path


@pytest.fixture
def finished(tmp_path):
    with Server(lambda *_: likes(0.3)) as judge:
        return lidr.run(lidr.load_recipe(recipe_file(tmp_path / "world", url=judge.url)))


def test_the_english_task_has_version_1_beside_its_other_scores(finished, tmp_path, capsys):
    folders = [finished.version_folder / f"iter_{k}/evaluate" for k in (0, 1)]
    english, german = read_results(folders[1] / "results").tasks
    items = {name: item_values(read_scores(folders[1] / "results"), name)[english.task] for name in _VALUES}
    order = [r["item"] for r in read_samples(folders[1] / "results").to_pylist() if r["task"] == english.task]
    control = read_length_control(str(tmp_path / "world/control"))
    assert english.scores[SCORE] == lc_win_rate_v1(*([items[name][i] for i in order] for name in _VALUES), control)
    assert english.length_control_sha256 == control.sha256
    assert SCORE not in german.scores
    assert "length_control_sha256" not in german.model_dump()
    record = open_artifact(folders[1]).record
    value = record.counts["tasks"][0]["scores"][SCORE]["value"]
    assert value == english.scores[SCORE].value
    (shown,) = [
        (score.label, language, found)
        for score, language, found in evaluated([record])[0].scores()
        if score.name == SCORE
    ]
    assert (shown[1], shown[2][0]["value"]) == ("en", value)
    artifacts = [open_artifact(folder) for folder in folders]
    card = results_section(SimpleNamespace(records=[a.record for a in artifacts], artifacts=artifacts, result=1))
    line = next(line for line in card.splitlines() if "AlpacaEval's version 1" in line)
    assert f" {value:.2f} |" in line
    assert "[" not in line
    assert f"{value:.1f}" in scores_text(read_results(folders[1] / "results"))
    assert main(["eval", "compare", *(str(folder / "results") for folder in folders)]) == 0
    said = " ".join(capsys.readouterr())
    assert f"{SCORE} (length-controlled win rate, AlpacaEval's version 1, %; it has no interval)" in said
    assert f"{value:.2f}" in said


_VALUES = ("preference", "length", "reference_length")


def test_rates_by_other_files_are_not_put_side_by_side(finished):
    folder = finished.version_folder / "iter_1/evaluate/results"
    one, other = open_evaluations([str(finished.version_folder / "iter_0/evaluate/results"), str(folder)])
    tasks = tuple(
        task.model_copy(update={"length_control_sha256": "0" * 64}) if SCORE in task.scores else task
        for task in other.results.tasks
    )
    notes = compare([one, replace(other, results=other.results.model_copy(update={"tasks": tasks}))]).notes
    assert any("lc_win_rate_v1 was made with different files" in note for note in notes)


def test_other_files_are_drift_and_where_they_lie_is_not(finished, tmp_path):
    recipe = finished.recipe
    step = next(step for step in recipe.chain if step.name == "evaluate")

    def planned(folder: Path) -> set[str]:
        config = step.config.model_copy(update={"length_control": str(folder)})
        chain = tuple(s.model_copy(update={"config": config}) if s.name == "evaluate" else s for s in recipe.chain)
        return {s.state for s in lidr.plan(recipe.model_copy(update={"chain": chain})).steps if s.name == "evaluate"}

    assert planned(write_files(tmp_path / "moved")) == {"cached"}
    assert planned(write_files(tmp_path / "changed", "0.5")) == {"drifted"}


def test_a_plan_refuses_what_is_not_alpaca_evals_own_setting(tmp_path, monkeypatch):
    recipe = lidr.load_recipe(recipe_file(tmp_path / "world"))
    monkeypatch.setattr(length_control, "BASELINE", "gpt4_1106_preview")
    with pytest.raises(PlanError, match=r"evaluate\.length_control: answers were compared with those of ref, needed"):
        lidr.plan(recipe)


def test_files_that_are_not_there_are_found_by_the_plan(tmp_path):
    recipe = lidr.load_recipe(recipe_file(tmp_path / "world", "./nowhere"))
    with pytest.raises(EvaluationError, match=r"instruction_difficulty\.csv: not there; put"):
        lidr.plan(recipe)


@pytest.mark.parametrize(
    ("was", "now", "said"),
    [
        ("tasks: [x_alpacaeval]", "tasks: [mgsm]", "needs x_alpacaeval in tasks"),
        ("tasks: [x_alpacaeval]", "tasks: [x_alpacaeval], limit: 3", "and no limit"),
        ("tasks: [x_alpacaeval]", "tasks: [x_alpacaeval], languages: [de]", "en in languages"),
        ("{folder}/control", "run:other", "names no folder and no data set"),
    ],
)
def test_settings_that_cannot_have_version_1_are_refused(tmp_path, was, now, said):
    path = recipe_file(tmp_path / "world")
    text = path.read_text("utf-8")
    path.write_text(text.replace(was.format(folder=path.parent), now), "utf-8")
    with pytest.raises(RecipeError, match=said):
        lidr.load_recipe(path)


def test_a_data_set_without_a_commit_waits_for_the_lock(tmp_path):
    recipe = lidr.load_recipe(recipe_file(tmp_path / "world", "org/alpaca_eval"))
    (step,) = [s for s in lidr.plan(recipe).steps if s.place == "iter_0/evaluate"]
    assert "datasets/org/alpaca_eval is no commit: `lidr lock RECIPE` writes the one it has now" in " ".join(step.why)
