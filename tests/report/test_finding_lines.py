"""What was measured and what the gates found, in the report, in the cards, and in what is published."""

from __future__ import annotations

import json

import pytest

import lidr
from lidr.cli.main import main
from lidr.errors import HubError
from lidr.release.cards.card_tables import settings_table
from lidr.release.cards.finding_tables import gates_section, measurements_section
from lidr.release.finished import finished_run
from lidr.report.finding_lines import gate_lines, measurement_tables
from tests.decided_runs import lay_down, recipe, write_course
from tests.scripted import TOPICS

FALLING = {
    0: {"en": 0.9, "es": 0.3, "de": 0.3},
    1: {"en": 0.9, "es": 0.6, "de": 0.6},
    2: {"en": 0.5, "es": 0.9, "de": 0.9},
    3: {"en": 0.9, "es": 0.6, "de": 0.6},
}
TWO = '[{{prompts: "0:4"}}, {{prompts: "4:8"}}]'


@pytest.fixture(autouse=True)
def _own_store(monkeypatch):
    monkeypatch.delenv("LIDR_STORE", raising=False)


def world(folder, act, iterations=TWO):
    text = recipe(f"{{{{dominant_worse: {{{{act: {act}}}}}}}}}", iterations)
    path = write_course(folder, text.replace("  - train", "  - measure: {{gold: {folder}/gold}}\n  - train"))
    (folder / "gold").mkdir()
    gold = "".join(json.dumps({"id": f"p{i}", "response": "1"}) + "\n" for i in range(len(TOPICS)))
    (folder / "gold/en.jsonl").write_text(gold, encoding="utf-8")
    return path


def test_the_result_of_a_rolled_back_run_is_what_is_published_and_the_card_says_so(tmp_path, monkeypatch):
    lay_down(monkeypatch, FALLING)
    planned = lidr.run(lidr.load_recipe(world(tmp_path / "w", "roll_back")))
    run = finished_run(planned.recipe, planned.store)
    assert (run.result, run.policy().record.place) == (1, "iter_1/train")
    assert run.iterations == (1, 2)
    said = gates_section(run)
    assert "- iter_1/gate: none of 1 numbers lies beyond its limit." in said
    assert "- iter_2/gate: dominant_worse (roll_back): accuracy of mgsm, en, to iter_1: -0." in said
    assert "iter_2/gate: rolled back; the policy of iter_1 goes on." in said
    assert said.count("hold at 95% for all numbers of a signature together (Bonferroni), so they are wider") == 1
    assert said.endswith("- The policy of this release is that of iter_1.")
    assert run.up_to(1).result == 1
    assert [training.place for training in run.trainings()] == ["iter_1/train"]  # iter_2 was given up
    settings = settings_table(run)
    assert "| `measure.gold` | `" in settings
    assert '| `evaluate.gold` | `"number"` | default of lidr |' in settings


def test_a_run_that_is_saturated_is_whole_as_far_as_it_went(tmp_path, monkeypatch):
    lay_down(monkeypatch, {k: {"en": 0.9, "es": 0.3 + 0.3 * (k > 0), "de": 0.3 + 0.3 * (k > 0)} for k in range(4)})
    short = "{{repeat: until_saturated, max: 3, prompts_each: 1}}"
    planned = lidr.run(lidr.load_recipe(world(tmp_path / "w", "warn", short)))
    run = finished_run(planned.recipe, planned.store)
    assert run.iterations == (1, 2)
    assert run.result == planned.result
    assert "saturated after iteration 2" in gates_section(run)


def test_without_any_better_policy_there_is_none_to_publish(tmp_path, monkeypatch):
    lay_down(monkeypatch, {0: FALLING[0], 1: FALLING[2], 2: FALLING[2]})
    recipe_file = world(tmp_path / "w", "roll_back")
    with pytest.raises(lidr.errors.NegativeVerdict):
        lidr.run(lidr.load_recipe(recipe_file))
    planned = lidr.plan(lidr.load_recipe(recipe_file))
    run = finished_run(planned.recipe, planned.store)
    with pytest.raises(HubError, match="no policy better than the one it started from, so there is none to publish"):
        run.policy()


def test_the_measurement_stands_beside_the_papers_figures(tmp_path, monkeypatch):
    lay_down(monkeypatch, FALLING)
    planned = lidr.run(lidr.load_recipe(world(tmp_path / "w", "warn")))
    run = finished_run(planned.recipe, planned.store)
    table = measurement_tables(run.records)[0]
    rows = {(row[0], row[1]): row for row in table.rows}
    assert rows["reward accuracy by gold, non-dominant pairs", "es"][3:] == ("0 + 4 ties", "0.57")
    assert rows["reward accuracy by gold, dominant pairs", "es"][4] == "0.72"  # the paper's one number for English
    assert rows["off-target rate", "en"][4] == "-"
    assert "Llama-3-8B-Instruct" in table.remarks[0]
    assert "### iter_1/measure, 4 prompts" in measurements_section(run)
    assert len(gate_lines(run.records)) >= 4


def test_a_stopped_run_is_shown_whole_and_ends_with_exit_code_3(tmp_path, monkeypatch, capsys):
    lay_down(monkeypatch, FALLING)
    path = str(world(tmp_path / "w", "stop"))
    assert main(["plan", path]) == 0
    assert ": en and es, de, at most 2 iterations, " in capsys.readouterr().out
    assert main(["run", path, "--quiet"]) == 3
    shown = capsys.readouterr()
    assert "2 iterations in" in shown.out
    assert "Before training, iter_1/measure, 4 prompts" in shown.out
    assert "iter_2/gate: dominant_worse (stop)" in shown.out
    assert "iter_1/train/model (loads in transformers and vLLM)" in shown.out
    assert "verdict: scripted 0.1.0: iter_2/gate stopped the run" in shown.err
    assert main(["run", path, "--quiet"]) == 3
    assert "Everything is there" in _plan(path, capsys)


def _plan(path, capsys):
    capsys.readouterr()
    assert main(["plan", path]) == 0
    return capsys.readouterr().out
