"""What is refused before a step is made again, and why."""

from __future__ import annotations

import re
from dataclasses import replace
from types import SimpleNamespace

import pytest

from lidr.errors import HubError, StoreError
from lidr.hub import AllowedAddresses, Target
from lidr.pipeline import load_recipe
from lidr.reproduce import ReproductionRequest
from lidr.reproduce import rerun as module
from lidr.reproduce.released_recipe import OF_THE_PUBLISHER
from lidr.reproduce.released_rows import PublishedRows, _link
from lidr.reproduce.rerun import Again, CannotRun, OtherSettings
from lidr.reproduce.self_checks import check_steps
from lidr.steps.evaluate import EvaluateConfig, JudgeConfig
from lidr.steps.measure import MeasureConfig, RoundTrip
from lidr.store.store import Store


@pytest.fixture
def again(world, tmp_path) -> Again:
    records = {record.place: record for record in world.records}
    release = type("Release", (), {"records": records, "folder": tmp_path})()
    nowhere = AllowedAddresses(Target("http://127.0.0.1:9"))
    return Again(PublishedRows(release, None, tmp_path), world.recipe, Store(tmp_path / "store"), {}, nowhere)


def record(again: Again, place: str, **changes):
    return replace(again.published.release.records[place], **changes)


def test_a_server_is_never_asked_for_a_recipe_of_others(again):
    """Its key would go to wherever the release says."""
    config = EvaluateConfig(tasks=("x_alpacaeval",), judge=JudgeConfig(model="openai:m@http://elsewhere"))
    with pytest.raises(CannotRun, match=r"openai:m@http://elsewhere: a server's model has no pin"):
        again._check_machine(record(again, "iter_1/generate", writes="scores"), config)
    asking = again.recipe.model_copy(update={"runtime": again.recipe.runtime.model_copy(update={"engine": "openai"})})
    asked, other = record(again, "iter_1/generate"), replace(again, recipe=asking)
    with pytest.raises(CannotRun, match="openai:canned@http"):
        other._check_machine(asked, again.config(asked))


def test_a_server_that_only_measure_asks_is_not_asked_either(again):
    asking = again.recipe.model_copy(update={"runtime": again.recipe.runtime.model_copy(update={"engine": "openai"})})
    asked, other = record(again, "iter_1/generate", writes="measures"), replace(again, recipe=asking)
    other._check_machine(asked, MeasureConfig())
    with pytest.raises(CannotRun, match="openai:canned@http"):
        other._check_machine(asked, MeasureConfig(round_trip=RoundTrip(max_tokens=8)))


def test_what_an_interrupted_reproduction_left_of_a_policy_is_brought_anew(again, tmp_path, monkeypatch):
    (source := tmp_path / "source").mkdir()
    (source / "config.json").write_text("{}")
    _link(source, tmp_path / "policies/iter_1/pair/model")  # killed before the record was written
    monkeypatch.setattr(again.published, "_weights", lambda record: source)
    found = again.published.policy(record(again, "iter_1/pair"))
    assert found is not None
    assert (found.model / "config.json").read_text() == "{}"


def test_code_that_comes_with_a_model_is_not_run_unasked(again):
    policy = again.recipe.policy.model_copy(update={"trust_remote_code": True})
    careful = replace(again, recipe=again.recipe.model_copy(update={"policy": policy}))
    one = record(again, "iter_1/generate")
    with pytest.raises(CannotRun, match="runs code of its own; read it, then give --trust-remote-code"):
        careful._check_machine(one, careful.config(one))
    trusting = replace(careful, trust_remote_code=True)
    trusting._check_machine(one, trusting.config(one))


def test_a_model_that_does_not_fit_is_not_tried(again, monkeypatch):
    monkeypatch.setattr(module, "too_large", lambda writes, weights: f"hardware: {writes}")
    one = record(again, "iter_1/generate")
    with pytest.raises(CannotRun, match="hardware: responses"):
        again._check_machine(one, again.config(one))


def test_files_that_are_another_here_are_named(again):
    one = record(again, "iter_1/generate")
    changed = replace(one, identity={**one.identity, "outside": {"answers": "0" * 64}})
    with pytest.raises(CannotRun, match="what it read is another here: answers: sha256 000000000000 -> sha256 "):
        again.make(changed)


def test_other_settings_than_the_records_are_named_with_both_values(again):
    one = record(again, "iter_1/filter")
    changed = replace(one, identity={**one.identity, "config": {**one.identity["config"], "copied_source": True}})
    with pytest.raises(OtherSettings, match=r"config\.copied_source: true -> false"):
        again.make(changed)
    with pytest.raises(OtherSettings, match="the recipe has no step weigh any more"):
        again.make(replace(one, step="weigh"))


def test_a_record_that_names_no_input_of_its_step_is_named(again):
    one = record(again, "iter_1/pair")
    lost = replace(one, inputs={name: said for name, said in one.inputs.items() if name != "policy"})
    with pytest.raises(OtherSettings, match=r"^its record names no policy, which the step pair reads$"):
        again._inputs(lost)


def test_an_input_that_is_nowhere_is_named(again):
    with pytest.raises(CannotRun, match="its input iter_1/pair is not published and was not made again"):
        again.make(record(again, "iter_1/filter"))


def test_a_first_policy_that_only_the_publisher_had_is_named(again, tmp_path):
    policy = again.recipe.policy.model_copy(update={"model": str(tmp_path / OF_THE_PUBLISHER / "our-model")})
    other = replace(again, recipe=again.recipe.model_copy(update={"policy": policy}))
    with pytest.raises(
        CannotRun, match=r"^our-model \(on the machine that published; it is not in the release\); give the policy's"
    ):
        other._check_outside(record(again, "iter_0/policy"), policy)


def test_an_engine_that_is_not_installed_stops_the_step_with_the_pip_line(again, monkeypatch):
    monkeypatch.setattr(module, "missing_engine", lambda engine: f"{engine}: pip install it")
    one = record(again, "iter_1/generate")
    with pytest.raises(CannotRun, match=r"^scripted: pip install it$"):
        again._check_machine(one, again.config(one))


def test_an_input_without_a_record_is_named(again):
    one = record(again, "iter_1/filter")
    lost = replace(one, inputs={"pairs": {"place": "iter_9/pair", "digest": ""}})
    with pytest.raises(CannotRun, match=r"^its input iter_9/pair has no record in the release$"):
        again.make(lost)


def test_a_full_disk_is_no_verdict_on_the_release(again, monkeypatch):
    def full(store, folder, record):
        raise StoreError("no space left while writing x")

    monkeypatch.setattr(Store, "commit", full)
    with pytest.raises(CannotRun, match=r"^no space left while writing x$"):
        again.make(record(again, "iter_1/prompts"))


def test_a_gate_whose_record_holds_no_decision_is_named(again, monkeypatch):
    gate = record(again, "iter_1/pair", step="gate", counts={"decision": {}})
    again.published.release.records["iter_1/gate"] = gate
    with pytest.raises(OtherSettings, match=r"^the record of iter_1/gate holds no decision \("):
        again.config(record(again, "iter_1/filter"))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"step": "bake"}, "is the step 'bake' that writes 'pairs', which this lidr does not have. It was made with"),
        ({"writes": "responses"}, "is the step 'pair' that writes 'responses', which this lidr does not have"),
        ({"iteration": 9}, "iter_1/pair: the recipe has 2 iterations; the release is damaged"),
        ({"inputs": {"responses": {}}}, "iter_1/pair: its input responses names no place; the release is damaged"),
    ],
)
def test_a_record_of_another_lidr_or_of_no_such_iteration_is_named(again, changes, said):
    release = again.published.release
    release.records["iter_1/pair"] = record(again, "iter_1/pair", **changes)
    release.found, release.run = "them/prefs@v0.1.0", {"lidr": "9.9"}
    with pytest.raises(HubError, match=rf"^them/prefs@v0\.1\.0: .*{re.escape(said)}"):
        check_steps(release, again.recipe)


def test_the_evaluation_of_the_first_policy_lies_before_a_step_that_iteration_0_does_not_have():
    recipe = load_recipe("recipes/first.yaml")
    places = ("iter_0/policy", "iter_0/evaluate", "iter_1/pair", "iter_1/filter", "iter_1/train", "iter_1/evaluate")
    records = {
        place: SimpleNamespace(place=place, iteration=int(place[5]), step=place.partition("/")[2]) for place in places
    }

    def asked(start: str | None = None, until: str | None = None) -> tuple[str, ...]:
        found = ReproductionRequest(start, until).records(recipe, records)
        return tuple(place for place in places if place in found)

    assert asked() == places
    assert asked("pair") == places[2:]
    assert asked("pair", "filter") == places[2:4]
    assert asked("evaluate") == ("iter_0/evaluate", "iter_1/evaluate")
    assert asked("policy") == asked(None, None)
