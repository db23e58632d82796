"""The recipe of a release is the recipe that ran: written out, read back, it plans the same."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import lidr
from lidr.errors import HubError
from lidr.hub.client import Target
from lidr.recipe.schema import Recipe
from lidr.release.finished import resolved
from lidr.release.release_reader import Found, OpenedRelease
from lidr.release.reproduction_files import written
from lidr.reproduce.released_recipe import OF_THE_PUBLISHER, recipe_of
from lidr.resources import shared
from tests.released import run_of as least

RECIPES = sorted(p for p in shared("recipes").rglob("*.yaml") if "prompts" not in p.parts and "data" not in p.parts)


def opened(folder: Path, run: dict) -> OpenedRelease:
    (folder / "lidr").mkdir(parents=True, exist_ok=True)
    (folder / "lidr/run.json").write_text(json.dumps(least(**run)))
    return OpenedRelease(Found(Target("http://hub"), "dataset", "a/b", "v0.1.0", "0" * 40), folder)


def run_of(recipe: Recipe) -> dict:
    return {"resolved": resolved(recipe), "written": written(recipe)}


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_shipped_recipe_comes_back_as_it_was_resolved(path, tmp_path):
    recipe = lidr.load_recipe(path)
    again = recipe_of(opened(tmp_path / "release", run_of(recipe)), tmp_path)
    ours, theirs = ({**resolved(one), "runtime": None, "authors_compat": None} for one in (again, recipe))
    assert ours == theirs
    assert not again.runtime.push


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_what_a_recipe_wrote_down_is_told_from_defaults(path, tmp_path):
    recipe = lidr.load_recipe(path)
    (tmp_path / "w.yaml").write_text(json.dumps({**written(recipe), "runtime": resolved(recipe)["runtime"]}))
    again = lidr.load_recipe(tmp_path / "w.yaml")
    for ours, theirs in zip(again.chain, recipe.chain, strict=True):
        assert ours.config.model_dump(exclude_unset=True) == theirs.config.model_dump(exclude_unset=True)


def test_a_folder_of_the_publisher_is_nowhere_and_a_file_that_was_brought_is_in_the_release(world, tmp_path):
    run = {
        **run_of(world.recipe),
        "files": [{"setting": "runtime.answers", "path": "lidr/files/x-a.jsonl"}],
    }
    recipe = recipe_of(opened(tmp_path / "r", run), tmp_path)
    assert recipe.prompts.source == str(tmp_path / OF_THE_PUBLISHER / "prompts")
    assert recipe.runtime.answers == str(tmp_path / "r/lidr/files/x-a.jsonl")
    assert recipe.runtime.store == str(tmp_path / "store")


@pytest.mark.parametrize("path", ["../../etc/passwd", "lidr/files/../x"])
def test_a_file_outside_the_release_is_refused(world, tmp_path, path):
    run = {**run_of(world.recipe), "files": [{"setting": "runtime.answers", "path": path}]}
    with pytest.raises(HubError, match="files of a release stand in lidr/files/"):
        recipe_of(opened(tmp_path / "r", run), tmp_path)


def test_a_recipe_that_this_lidr_does_not_read_is_said_with_the_version_that_does(world, tmp_path):
    run = {**run_of(world.recipe), "written": {**written(world.recipe), "wax": 1}, "lidr": "9.9.9"}
    with pytest.raises(HubError, match=r"(?s)unknown key .wax.*made with lidr 9\.9\.9; install that version"):
        recipe_of(opened(tmp_path / "r", run), tmp_path)
    with pytest.raises(HubError, match="holds no whole recipe"):
        recipe_of(opened(tmp_path / "r", {}), tmp_path)
