"""The recipe of a release is the recipe that ran: written out, read back, it plans the same."""

from __future__ import annotations

import json
from contextlib import suppress
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


@pytest.mark.parametrize(
    "path",
    ["../../etc/passwd", "lidr/files/../x", "lidr/files/%2e%2e/x", "lidr/files/a\0b", "lidr/files//etc/passwd", ""],
)
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


@pytest.mark.parametrize(
    "source",
    ["/etc", "~/private", "../../private", "./private", "private", "$LIDR_DATA/../private", "$LIDR_DATA../x", "a\0b"],
)
def test_a_recipe_of_others_reads_no_folder_of_this_machine(world, tmp_path, monkeypatch, source):
    (tmp_path / "here/private").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here")
    run = run_of(world.recipe)
    run["written"]["prompts"]["source"] = source
    recipe = recipe_of(opened(tmp_path / "r", run), tmp_path)
    assert recipe.prompts.source.startswith(str(tmp_path / OF_THE_PUBLISHER))
    assert Path(recipe.prompts.source).resolve().is_relative_to(tmp_path / OF_THE_PUBLISHER)


@pytest.mark.parametrize("source", ["$LIDR_DATA/bees", "recipes/data/gsm8k.json", "./recipes/data/gsm8k.json", "bees"])
def test_what_the_user_names_and_what_ships_with_lidr_is_read(world, tmp_path, source):
    run = run_of(world.recipe)
    run["written"]["prompts"]["source"] = source
    assert recipe_of(opened(tmp_path / "r", run), tmp_path).prompts.source == source


def test_a_recipe_of_others_has_no_base(world, tmp_path):
    (tmp_path / "mine.yaml").write_text("secret: of mine")
    run = {**run_of(world.recipe), "written": {**written(world.recipe), "base": str(tmp_path / "mine.yaml")}}
    with pytest.raises(HubError, match="a recipe of others stands alone") as found:
        recipe_of(opened(tmp_path / "r", run), tmp_path)
    assert "secret" not in str(found.value)


@pytest.mark.parametrize(("name", "value"), [("threads", 10**9), ("engine_batch", 10**9)])
def test_a_recipe_of_others_takes_no_more_than_a_machine_has(world, tmp_path, name, value):
    run = run_of(world.recipe)
    run["resolved"]["runtime"][name] = value
    with pytest.raises(HubError, match=rf"runtime\.{name} 1000000000: at most"):
        recipe_of(opened(tmp_path / "r", run), tmp_path)


@pytest.mark.parametrize("setting", ["policy", "chain", "chain.pair", "", ".", "chain..x", "name.x"])
def test_a_file_that_belongs_to_no_setting_sets_none(world, tmp_path, setting):
    run = {**run_of(world.recipe), "files": [{"setting": setting, "path": "lidr/files/x"}]}
    with suppress(HubError):
        assert recipe_of(opened(tmp_path / "r", run), tmp_path).name == "scripted"


def test_of_vllms_arguments_only_those_that_made_the_texts_are_told_to_ours(world, tmp_path):
    run = run_of(world.recipe)
    run["resolved"]["runtime"]["vllm"] = {"max_num_seqs": 10**6, "kv_cache_dtype": "fp8"}
    assert recipe_of(opened(tmp_path / "r", run), tmp_path).runtime.vllm == {"kv_cache_dtype": "fp8"}
    run["resolved"]["runtime"]["vllm"] = {"compilation_config": {"cache_dir": "/home"}}
    with pytest.raises(HubError, match=r"runtime\.vllm\.compilation_config is not taken from a recipe of others"):
        recipe_of(opened(tmp_path / "other", run), tmp_path)
