"""A run read from its records: finished or not, ended early, changed since, or not there at all."""

from __future__ import annotations

import pytest

import lidr
from lidr.errors import StoreError
from lidr.report.html.html_page import state_sentences
from lidr.report.run_state import run_state_of
from tests.decided_runs import lay_down
from tests.report.test_finding_lines import FALLING, world
from tests.scripted import RECIPE, write_world


def recipe_of(file, *overrides):
    return lidr.load_recipe(file, overrides=overrides)


def test_a_run_that_is_not_finished_says_what_is_still_to_make_and_what_was_begun(tmp_path):
    recipe = recipe_of(write_world(tmp_path))
    lidr.run(recipe, until="translate")
    (tmp_path / "runs/scripted/0.1.0/iter_1/pair.partial").mkdir()
    run = run_state_of(recipe)
    assert run.state == "not finished"
    assert (run.result, run.begun) == (None, ("iter_1/pair",))
    assert run.missing == ("iter_1/pair", "iter_1/filter", "iter_2/pair", "iter_2/filter")
    assert state_sentences(run)[0] == (
        "Not finished: 7 of 11 steps are made; iter_1/pair is at work or was interrupted. Still to make: iter_1/pair, "
        "iter_1/filter, iter_2/pair, iter_2/filter."
    )


def test_a_rolled_back_run_has_the_policy_that_its_gate_kept(tmp_path, monkeypatch):
    lay_down(monkeypatch, FALLING)
    recipe = recipe_of(world(tmp_path / "w", "roll_back"))
    lidr.run(recipe)
    run = run_state_of(recipe)
    assert (run.state, run.result, run.best, run.given_up, run.is_negative) == ("finished", 1, 1, {2}, False)
    assert run.missing == ()


def test_a_saturated_run_is_whole_with_fewer_iterations_than_the_recipe_has(tmp_path, monkeypatch):
    lay_down(monkeypatch, {k: {"en": 0.9, "es": 0.3 + 0.3 * (k > 0), "de": 0.3 + 0.3 * (k > 0)} for k in range(4)})
    recipe = recipe_of(world(tmp_path / "w", "warn", "{{repeat: until_saturated, max: 3, prompts_each: 1}}"))
    lidr.run(recipe)
    run = run_state_of(recipe)
    assert (run.state, run.iterations, run.missing) == ("ended", 2, ())
    assert "Ended early: saturated after iteration 2" in state_sentences(run)[1]


def test_no_policy_better_than_the_first_is_said(tmp_path, monkeypatch):
    lay_down(monkeypatch, {0: FALLING[0], 1: FALLING[2], 2: FALLING[2]})
    recipe = recipe_of(world(tmp_path / "w", "roll_back"))
    with pytest.raises(lidr.errors.NegativeVerdict):
        lidr.run(recipe)
    run = run_state_of(recipe)
    assert (run.result, run.is_negative) == (0, True)
    assert state_sentences(run)[-1] == (
        "The best policy is the first policy; no policy of this run is better than the one that it started from."
    )


def test_a_published_release_is_expected_only_where_the_recipe_pushes(tmp_path):
    text = RECIPE.replace("iterations:", "  - publish: {{pairs: org/x}}\niterations:")
    recipe = recipe_of(write_world(tmp_path, text))
    lidr.run(recipe)
    assert run_state_of(recipe).state == "finished"
    pushing = recipe_of(tmp_path / "recipe.yaml", "runtime.push=true")
    assert run_state_of(pushing).missing == ("iter_2/publish",)


def test_a_recipe_that_was_changed_since_names_what_differs(tmp_path):
    file = write_world(tmp_path)
    lidr.run(recipe_of(file))
    run = run_state_of(recipe_of(file, "chain.generate.max_tokens=32"))
    assert run.differs == tuple(
        f"iter_{k}/generate was made by other settings than the recipe has now: config.max_tokens: 64 -> 32"
        for k in (1, 2)
    )


def test_where_the_recipes_files_are_gone_the_records_are_read_and_nothing_is_claimed_of_the_recipe(tmp_path):
    recipe = recipe_of(write_world(tmp_path))
    lidr.run(recipe)
    (tmp_path / "answers.jsonl").unlink()
    run = run_state_of(recipe)
    assert run.state == "finished"
    assert run.differs == (
        "Whether the recipe has changed since cannot be checked here: what it names is not on this machine.",
    )


def test_a_run_that_is_not_there_is_named_with_the_versions_that_are(tmp_path):
    file = write_world(tmp_path)
    nothing = r"scripted 0\.1\.0: no step of a run in .*runs/scripted/0\.1\.0\. Run it first: lidr run RECIPE; or name"
    with pytest.raises(StoreError, match=nothing):
        run_state_of(recipe_of(file))
    lidr.run(recipe_of(file), until="prompts")
    with pytest.raises(StoreError, match=r"; the store has version 0\.1\.0 of it \(--set version=\.\.\.\)"):
        run_state_of(recipe_of(file, "version=0.2.0"))
