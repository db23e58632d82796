import json
from dataclasses import replace

import pytest
from pydantic import ValidationError

import lidr
from lidr.errors import HubError, PlanError
from lidr.rows import Pair
from lidr.steps.progress import Progress
from lidr.steps.publish import (
    LicenceChoice,
    PublishConfig,
    Release,
    also_read_publish,
    check_publish,
    expect_publish,
    finished_for,
    run_publish,
    skipped_publish,
)
from lidr.steps.step_kind import Policy, Scale, StepRun, Surroundings
from lidr.store.artifact import ArtifactWriter, open_artifact
from lidr.store.recipe_lock import Lock
from lidr.store.store import Store
from tests.scripted import write_world

OFF = "runtime.push is off: set it to true, or publish later with `lidr publish RECIPE`"


@pytest.fixture(scope="module")
def planned(tmp_path_factory):
    recipe = write_world(tmp_path_factory.mktemp("publish") / "w")
    return lidr.run(lidr.load_recipe(recipe, overrides=["runtime.push=true"]))


def step(planned, folder, config, iteration=2, recipe=None) -> StepRun:
    recipe = recipe or planned.recipe
    around = Surroundings(recipe, recipe.folder, Lock({}, {}), planned.store.root)
    inputs = {Pair.name: open_artifact(planned.version_folder / f"iter_{iteration}/filter")}
    folder.mkdir(parents=True)
    progress = Progress(folder / "progress.json", "publish", quiet=True)
    return StepRun(around, config, iteration, inputs, ArtifactWriter(folder, Release), progress)


@pytest.fixture
def no_hub_outside(monkeypatch):
    for name in ("HF_TOKEN", "HF_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "at least one repository"),
        ({"pairs": "x"}, "org/name"),
        ({"policy": "a--b/c"}, "--"),
        ({"pairs": "a/b", "license": {"id": "mit"}}, "reason"),
        ({"pairs": "a/b", "license": {"id": "mit", "reason": ""}}, "reason"),
    ],
)
def test_settings_that_no_hub_takes_are_refused_when_the_recipe_is_read(settings, said):
    with pytest.raises(ValidationError, match=said):
        PublishConfig.model_validate(settings)


def test_the_policy_is_read_only_where_it_is_published():
    assert also_read_publish(PublishConfig(pairs="a/b")) == ()
    assert also_read_publish(PublishConfig(policy="a/b")) == (Policy,)
    assert expect_publish(PublishConfig(pairs="a/b"), Scale(1, 1)).unit == "release"


def test_it_is_skipped_while_push_is_off(planned):
    off = planned.recipe.model_copy(update={"runtime": planned.recipe.runtime.model_copy(update={"push": False})})
    assert skipped_publish(planned.recipe) is None
    assert skipped_publish(off) == OFF


def test_it_refuses_to_send_while_push_is_off(planned, tmp_path):
    off = planned.recipe.model_copy(update={"runtime": planned.recipe.runtime.model_copy(update={"push": False})})
    with pytest.raises(PlanError, match=r"runtime\.push"):
        run_publish(step(planned, tmp_path / "s", PublishConfig(pairs="lidr/p"), recipe=off))


def test_it_stands_in_the_last_iteration_alone_and_reads_the_pairs_of_all(tmp_path):
    recipe = write_world(tmp_path / "w")
    text = recipe.read_text().replace("iterations:", "  - publish: {pairs: lidr/p}\niterations:")
    recipe.write_text(text)
    off = lidr.plan(lidr.load_recipe(recipe))
    assert [(s.place, s.state, s.why) for s in off.steps if s.name == "publish"] == [
        ("iter_2/publish", "skipped", (OFF,))
    ]
    on = lidr.plan(lidr.load_recipe(recipe, overrides=["runtime.push=true"]))
    assert on.steps[-1].inputs == {"pairs": "iter_2/filter", "pairs_1": "iter_1/filter"}


def test_after_the_last_iteration_everything_goes_to_the_embedded_hub_and_is_recorded(
    planned, tmp_path, no_hub_outside
):
    run = step(planned, tmp_path / "s", PublishConfig(pairs="lidr/p"))
    outcome = run_publish(run)
    (found,) = outcome.counts["published"]
    assert (found["repo"], found["tag"], len(found["sha"])) == ("lidr/p", "v0.1.0", 40)
    written = json.loads((run.out.folder / "release.json").read_text())
    assert written["published"] == outcome.counts["published"]
    again = run_publish(step(planned, tmp_path / "again", PublishConfig(pairs="lidr/p")))
    assert again.counts["published"][0]["sha"] == found["sha"]


@pytest.mark.parametrize(
    ("prompts", "more", "chosen", "said"),
    [
        ("cc-by-nc-4.0", {}, "mit", "the cc-by-nc-4.0 of the prompts (non-commercial) asks for"),
        ("cc0-1.0", {"policy_license": "llama3.1"}, "mit", "the llama3.1 of the policy (conditions of use) asks for"),
        (
            "cc-by-sa-4.0",
            {"policy_license": "llama3"},
            "apache-2.0",
            "(conditions of use) and the cc-by-sa-4.0 of the prompts (share-alike) ask for",
        ),
        ("cc-by-nc-4.0", {}, "cc-by-nc-4.0", None),
        ("cc0-1.0", {"policy_license": "apache-2.0"}, "mit", None),
        ("unknown", {}, "mit", None),
        ("cc-by-nc-4.0", {}, "other", None),
    ],
)
def test_a_licence_that_leaves_out_what_its_parents_ask_for_is_noted_before_anything_is_made(
    planned, prompts, more, chosen, said
):
    recipe = planned.recipe.model_copy(
        update={"prompts": planned.recipe.prompts.model_copy(update={"license": prompts})}
    )
    words = {"name": "Mine", "link": "https://example.org/terms"} if chosen == "other" else {}
    config = PublishConfig(pairs="a/b", license=LicenceChoice(id=chosen, reason="so be it", **words), **more)
    notes = check_publish(replace(planned.around, recipe=recipe), config)
    if said is None:
        assert notes == ()
    else:
        (note,) = notes
        assert note.startswith(f"publish.license: {chosen} leaves out what ")
        assert said in note
        assert 'the card will say "decided by the publisher: so be it"' in note


def test_a_licence_that_the_recipe_decides_on_is_used(planned):
    config = PublishConfig(pairs="a/b", license=LicenceChoice(id="cc-by-4.0", reason="all our own"))
    assert finished_for(planned.recipe, config, Store(planned.store.root)).licence.identifier == "cc-by-4.0"
    bad = PublishConfig(pairs="a/b", license=LicenceChoice(id="mine", reason="x"))
    with pytest.raises(HubError, match="no licence"):
        finished_for(planned.recipe, bad, Store(planned.store.root))
