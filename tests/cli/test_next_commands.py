"""The commands that the end of a run prints can be typed as they are."""

from __future__ import annotations

import shlex

import lidr
from lidr import pipeline
from lidr.cli.main import main
from lidr.cli.run import _next_commands
from tests.scripted import TINY, write_world
from tests.tiny import tiny_model


def test_the_printed_evaluation_of_a_policy_has_every_option_that_it_needs(tmp_path, capsys):
    file = write_world(tmp_path / "w", TINY)
    tiny_model(tmp_path / "w" / "model", "smollm2")
    planned = pipeline.plan(lidr.load_recipe(file))
    (line,) = [command for command, _ in _next_commands(planned, str(file)) if command.startswith("lidr eval run")]
    store = shlex.quote(str(tmp_path / "w" / "runs"))
    assert line == f"lidr eval run --model run:scripted@0.1.0 --langs en,es,de --store {store}"
    assert main(shlex.split(line)[1:]) == 2  # nothing is trained yet: of the model, and not of the options
    assert "arguments are required" not in capsys.readouterr().err


def test_publishing_is_advised_where_it_would_work_and_not_before(tmp_path):
    file = write_world(tmp_path)
    recipe = lidr.load_recipe(file)
    for until in ("pair", None):
        planned = pipeline.run(recipe, until=until)
        commands = [command.removesuffix(" --pairs ORG/NAME") for command, _ in _next_commands(planned, str(file))]
        assert (f"lidr run {file}" in commands) is (until is not None)
        assert (f"lidr publish {file}" in commands) is (until is None)


def test_publishing_is_advised_where_only_the_step_publish_itself_was_left_out(tmp_path):
    file = write_world(tmp_path)
    recipe = file.read_text(encoding="utf-8").replace("iterations:", "  - publish: {pairs: me/a}\niterations:")
    file.write_text(recipe, encoding="utf-8")
    planned = pipeline.run(lidr.load_recipe(file), until="filter")
    commands = [command for command, _ in _next_commands(planned, str(file))]
    assert f"lidr publish {file}" in commands
    assert f"lidr run {file}" not in commands


def test_commands_without_the_recipe_name_a_store_that_they_would_not_find(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = write_world(tmp_path / "w")
    file.write_text(file.read_text().replace(f", store: {tmp_path}/w/runs", ""))

    def shown(words: str) -> str:
        planned = pipeline.plan(lidr.load_recipe(file))
        return next(command for command, _ in _next_commands(planned, words) if command.startswith("lidr pairs show"))

    assert shown("w/recipe.yaml") == "lidr pairs show run:scripted@0.1.0"
    monkeypatch.setenv("LIDR_STORE", str(tmp_path / "a store"))
    assert shown("w/recipe.yaml") == "lidr pairs show run:scripted@0.1.0"  # the next command finds it, too
    assert shown("w/recipe.yaml --store x") == f"lidr pairs show run:scripted@0.1.0 --store '{tmp_path}/a store'"
    monkeypatch.delenv("LIDR_STORE")
    (tmp_path / "w" / "runs").mkdir()  # beside the recipe
    assert shown("w/recipe.yaml") == f"lidr pairs show run:scripted@0.1.0 --store {tmp_path}/w/runs"
