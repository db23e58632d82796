"""How a run goes on: the iterations that are made, from which policy, with which settings, and where it ends."""

from __future__ import annotations

import dataclasses
import json

import pytest

import lidr
from lidr.api import finished_release
from lidr.errors import HubError, NegativeVerdict, PlanError, RecipeError, StoreError
from lidr.pipeline.decisions import changed
from lidr.steps import STEPS
from lidr.steps.step_kind import Outcome
from lidr.steps.train import TrainConfig
from lidr.store.artifact import open_artifact
from lidr.store.record import Rate
from tests.decided_runs import lay_down, recipe, write_course
from tests.scripted import RECIPE, write_world

ALL_GATES = "{{dominant_worse: {{act: ACT}}}}"
LISTED = '[{{prompts: "0:1"}}, {{prompts: "1:2"}}, {{prompts: "2:3"}}, {{prompts: "3:4"}}]'


def even(en: float, other: float) -> dict[str, float]:
    return {"en": en, "es": other, "de": other}


RISING = {
    0: even(0.9, 0.3),
    1: even(0.9, 0.55),
    2: even(0.9, 0.7),
    3: even(0.9, 0.7),
    4: even(0.9, 0.9),
    5: even(0.9, 0.9),
}
FALLING = {0: even(0.9, 0.3), 1: even(0.9, 0.6), 2: even(0.5, 0.9), 3: even(0.9, 0.8), 4: even(0.9, 0.9)}


@pytest.fixture(autouse=True)
def _own_store(monkeypatch):
    monkeypatch.delenv("LIDR_STORE", raising=False)


def load(folder, gate="{{}}", iterations=None):
    return lidr.load_recipe(write_course(folder, recipe(gate, iterations)))


def states(planned):
    return {step.place: step.state for step in planned.steps}


def test_the_run_ends_where_the_gain_cannot_be_told_from_nothing_and_a_second_run_makes_nothing(tmp_path, monkeypatch):
    made = lay_down(monkeypatch, RISING)
    found = load(tmp_path / "world")
    planned = lidr.run(found)
    assert planned.ending.iteration == 3
    assert "saturated after iteration 3" in planned.ending.why
    assert planned.result in (2, 3)
    by_place = states(planned)
    assert by_place["iter_3/gate"] == "cached"
    assert {by_place[f"iter_{k}/{s}"] for k in (4, 5) for s in ("generate", "train", "evaluate", "gate")} == {"skipped"}
    assert [place for place in made if "train" in place] == [
        "iter_1/train from iter_0/policy",
        "iter_2/train from iter_1/train",
        "iter_3/train from iter_2/train",
    ]
    outcome = json.loads((planned.version_folder / "run.json").read_text(encoding="utf-8"))["outcome"]
    assert outcome["result"] == planned.result
    assert outcome["ended"]["iteration"] == 3
    assert outcome["best"] == planned.result
    before = list(made)
    again = lidr.run(found)
    assert made == before
    assert states(again) == by_place


def test_before_it_is_decided_the_plan_holds_every_iteration(tmp_path):
    planned = lidr.plan(load(tmp_path / "world"))
    assert set(states(planned).values()) == {"new"}
    assert "iter_5/gate" in states(planned)
    assert planned.ending is None


def test_five_iterations_that_gain_run_to_the_end(tmp_path, monkeypatch):
    lay_down(monkeypatch, {k: even(0.9, 0.1 + 0.16 * k) for k in range(6)})
    planned = lidr.run(load(tmp_path / "world"))
    assert planned.ending is None
    assert planned.result == 5
    assert set(states(planned).values()) == {"cached"}


def test_an_interrupted_run_takes_the_same_course(tmp_path, monkeypatch):
    made = lay_down(monkeypatch, RISING)
    found = load(tmp_path / "world")
    lidr.run(found, until="generate")
    lidr.run(found, until="evaluate")
    assert len([p for p in made if "train" in p]) == 1  # without the gate nothing says how to go on
    planned = lidr.run(found)
    assert planned.ending.iteration == 3
    assert len([p for p in made if "train" in p]) == 3
    assert states(planned)["iter_4/train"] == "skipped"


def test_a_stop_is_a_negative_verdict_that_a_second_run_repeats_without_making_anything(tmp_path, monkeypatch):
    made = lay_down(monkeypatch, FALLING)
    found = load(tmp_path / "world", ALL_GATES.replace("ACT", "stop"), LISTED)
    with pytest.raises(NegativeVerdict, match=r"iter_2/gate stopped the run \(dominant_worse: accuracy of mgsm, en"):
        lidr.run(found)
    before = list(made)
    with pytest.raises(NegativeVerdict, match=r"the best policy is that of iter_1\. All that was made is kept"):
        lidr.run(found)
    assert made == before
    planned = lidr.plan(found)
    assert planned.result == 1
    assert states(planned)["iter_3/generate"] == "skipped"
    assert states(planned)["iter_2/train"] == "cached"


def test_a_rolled_back_iteration_is_not_what_the_next_one_starts_from(tmp_path, monkeypatch):
    made = lay_down(monkeypatch, FALLING)
    planned = lidr.run(load(tmp_path / "world", ALL_GATES.replace("ACT", "roll_back"), LISTED))
    assert [place for place in made if "train" in place][2:] == [
        "iter_3/train from iter_1/train",
        "iter_4/train from iter_3/train",
    ]
    gate = open_artifact(planned.version_folder / "iter_3/gate").record
    assert gate.counts["parent"] == 1
    assert {row["against"] for row in open_artifact(planned.version_folder / "iter_3/gate").read().to_pylist()} == {
        "iter_1",
        "iter_0",
    }
    assert planned.result == 4


def test_when_the_last_iteration_is_rolled_back_the_best_before_it_is_the_result(tmp_path, monkeypatch):
    lay_down(monkeypatch, FALLING)
    planned = lidr.run(load(tmp_path / "world", ALL_GATES.replace("ACT", "roll_back"), LISTED.replace(
        ', {{prompts: "2:3"}}, {{prompts: "3:4"}}', "")))  # fmt: skip
    assert planned.result == 1
    assert planned.ending is None


def test_a_run_whose_every_iteration_is_rolled_back_ends_badly(tmp_path, monkeypatch):
    lay_down(monkeypatch, {0: even(0.9, 0.3), 1: even(0.4, 0.3), 2: even(0.4, 0.3)})
    found = load(tmp_path / "world", ALL_GATES.replace("ACT", "roll_back"), '[{{prompts: "0:1"}}, {{prompts: "1:2"}}]')
    with pytest.raises(NegativeVerdict, match="no policy of this run is better than the one that it started from"):
        lidr.run(found)


def test_reweight_changes_the_settings_of_later_iterations_and_their_records_say_so(tmp_path, monkeypatch):
    lay_down(monkeypatch, FALLING)
    gate = "{{dominant_worse: {{act: reweight}}, reweight: {{dominant_pairs: none, nll_weight: 3.0}}}}"
    planned = lidr.run(load(tmp_path / "world", gate, LISTED))
    identities = {s.place: open_artifact(planned.folder(s)).record.identity["config"] for s in planned.steps}
    assert [identities[f"iter_{k}/pair"]["dominant_pairs"] for k in (1, 2, 3, 4)] == ["all", "all", "none", "none"]
    assert [identities[f"iter_{k}/train"]["nll"]["weight"] for k in (1, 2, 3, 4)] == [1.0, 1.0, 3.0, 3.0]
    from lidr.report.summary import summarise

    account = {row.label: row.counts for row in summarise(planned).account}
    requested = account.pop("slots (2 x prompts)")
    assert tuple(map(sum, zip(*account.values(), strict=True))) == requested


def test_a_gate_with_other_settings_is_drift_of_the_gate_alone(tmp_path, monkeypatch):
    made = lay_down(monkeypatch, FALLING)
    path = write_course(tmp_path / "world", recipe(ALL_GATES.replace("ACT", "warn"), LISTED))
    lidr.run(lidr.load_recipe(path))
    before = list(made)
    path.write_text(path.read_text(encoding="utf-8").replace("act: warn", "act: stop"), encoding="utf-8")
    other = lidr.load_recipe(path)
    drifted = {s.place for s in lidr.plan(other).in_state("drifted")}
    assert drifted == {f"iter_{k}/gate" for k in (1, 2, 3, 4)}
    with pytest.raises(StoreError, match=r"--rebuild iter_1/gate$"):
        lidr.run(other)
    with pytest.raises(NegativeVerdict):
        lidr.run(other, rebuild=["gate"])
    assert made == before


def test_work_that_does_not_fit_a_new_decision_is_refused_with_what_to_do(tmp_path, monkeypatch):
    lay_down(monkeypatch, FALLING)
    path = write_course(tmp_path / "world", recipe(ALL_GATES.replace("ACT", "warn"), LISTED))
    lidr.run(lidr.load_recipe(path))
    path.write_text(path.read_text(encoding="utf-8").replace("act: warn", "act: roll_back"), encoding="utf-8")
    with pytest.raises(
        StoreError,
        match=r"(?s)iter_3/generate was made by other settings: its input policy .*--rebuild iter_3/generate",
    ):
        lidr.run(lidr.load_recipe(path), rebuild=["gate"])


def test_without_a_gate_nothing_can_tell_that_a_run_is_saturated(tmp_path):
    text = RECIPE.split("iterations:")[0] + "iterations: {{repeat: until_saturated, max: 2, prompts_each: 4}}\nruntime:"
    found = lidr.load_recipe(write_world(tmp_path / "world", text + RECIPE.split("runtime:")[1]))
    with pytest.raises(PlanError, match=r"repeat: until_saturated needs a step that can end the run.*put gate after"):
        lidr.plan(found)


def test_a_gate_that_repeats_needs_scores(tmp_path):
    found = load(tmp_path / "world")
    moved = [step for step in found.chain if step.name != "gate"]
    gate = next(step for step in found.chain if step.name == "gate")
    chain = (*moved[:4], gate, *moved[4:])
    with pytest.raises(PlanError, match="decided by a gate from scores: put evaluate before gate"):
        lidr.plan(found.model_copy(update={"chain": chain}))


def test_the_short_form_of_iterations_is_a_list_with_repeat(tmp_path):
    found = load(tmp_path / "world")
    assert [one.prompts for one in found.iterations] == ["0:1", "1:2", "2:3", "3:4", "4:5"]
    assert found.repeat == "until_saturated"
    more = lidr.load_recipe(tmp_path / "world/recipe.yaml", overrides=["iterations.max=2", "iterations.start=3"])
    assert [one.prompts for one in more.iterations] == ["3:4", "4:5"]


def test_a_mistake_in_the_short_form_is_named_with_its_place(tmp_path):
    path = write_course(tmp_path / "world", recipe("{{}}", "{{repeat: until_bored, max: 0, prompts: 4}}"))
    with pytest.raises(RecipeError) as caught:
        lidr.load_recipe(path)
    said = str(caught.value)
    assert 'iterations.repeat: unknown value "until_bored"; did you mean "until_saturated"?' in said
    assert "iterations.prompts_each: missing" in said
    assert 'iterations.prompts: unknown key "prompts"' in said
    assert "iterations.max: found 0" in said


def test_changed_settings_are_validated_and_leave_the_others_alone():
    config = TrainConfig(learning_rate=1e-5, batch=8)
    other = changed(config, {"nll.weight": 2.0})
    assert (other.nll.weight, other.nll.per, other.learning_rate) == (2.0, "sequence", 1e-5)
    assert changed(config, {}) is config


def test_what_comes_after_the_last_iteration_moves_to_where_the_run_ends_and_reads_the_result(tmp_path, monkeypatch):
    lay_down(monkeypatch, RISING)
    text = recipe("{{}}").replace("iterations:", "  - publish: {{pairs: a/pairs, policy: a/policy}}\niterations:")
    path = write_course(tmp_path / "world", text.replace("store: ", "push: true, store: "))
    read: list[str] = []

    def publish(run):
        read.extend(source.record.place for name, source in sorted(run.inputs.items()) if name.startswith("p"))
        return Outcome({"published": []}, Rate("repositories", 0, 0.0))

    monkeypatch.setitem(STEPS, "publish", dataclasses.replace(STEPS["publish"], run=publish))
    planned = lidr.run(lidr.load_recipe(path))
    assert [step.place for step in planned.steps if step.name == "publish"] == ["iter_3/publish"]
    assert read == ["iter_3/filter", "iter_1/filter", "iter_2/filter", f"iter_{planned.result}/train"]


def test_a_stopped_run_publishes_nothing(tmp_path, monkeypatch):
    lay_down(monkeypatch, FALLING)
    text = recipe(ALL_GATES.replace("ACT", "stop"), LISTED)
    text = text.replace("iterations:", "  - publish: {{pairs: a/pairs, policy: a/policy}}\niterations:")
    path = write_course(tmp_path / "world", text.replace("store: ", "push: true, store: "))
    with pytest.raises(NegativeVerdict):
        lidr.run(lidr.load_recipe(path))
    (step,) = [step for step in lidr.plan(lidr.load_recipe(path)).steps if step.name == "publish"]
    assert (step.place, step.state) == ("iter_2/publish", "skipped")
    assert "stopped the run" in step.why[0]


def test_a_bumped_version_takes_over_decisions_and_ends_where_the_old_one_did(tmp_path, monkeypatch):
    made = lay_down(monkeypatch, RISING)
    found = load(tmp_path / "world")
    lidr.run(found)
    before = list(made)
    bumped = lidr.load_recipe(tmp_path / "world/recipe.yaml", overrides=["version=0.2.0"])
    assert lidr.plan(bumped).ending.iteration == 3
    assert lidr.run(bumped).ending.iteration == 3
    assert made == before


def test_a_run_that_ended_early_can_be_published_by_hand(tmp_path, monkeypatch):
    lay_down(monkeypatch, RISING)
    found = load(tmp_path / "world")
    lidr.run(found)
    run, _ = finished_release(found, pairs="me/pairs")
    assert run.result in (2, 3)


def test_a_run_that_was_stopped_cannot_be_published_by_hand_and_is_not_told_to_run_again(tmp_path, monkeypatch):
    lay_down(monkeypatch, FALLING)
    found = load(tmp_path / "world", ALL_GATES.replace("ACT", "stop"), LISTED)
    with pytest.raises(NegativeVerdict):
        lidr.run(found)
    with pytest.raises(HubError, match=r"was left out: .*stopped the run.* under a new version") as refused:
        finished_release(found, pairs="me/pairs")
    assert "lidr.run" not in str(refused.value)
