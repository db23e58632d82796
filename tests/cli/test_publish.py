import argparse
import json
import re
import shlex
from dataclasses import replace
from pathlib import Path

import pytest

import lidr
from lidr.cli import card, publish
from lidr.errors import HubError
from lidr.steps import STEPS
from tests.scripted import write_world


@pytest.fixture(scope="module")
def recipe(tmp_path_factory) -> Path:
    file = write_world(tmp_path_factory.mktemp("cli") / "w")
    lidr.run(lidr.load_recipe(file))
    return file


def call(command, *words: object) -> int:
    parser = argparse.ArgumentParser()
    command.arguments(parser)
    return command.main(parser.parse_args([str(word) for word in words]))


@pytest.fixture
def no_hub_outside(monkeypatch):
    for name in ("HF_TOKEN", "HF_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)


def test_publish_prints_commit_and_loading_lines(recipe, capsys, no_hub_outside):
    assert call(publish, recipe, "--pairs", "lidr/p") == 0
    out = capsys.readouterr().out
    assert "lidr/p" in out
    assert 'load_dataset("lidr/p", "all"' in out
    assert call(publish, recipe, "--pairs", "lidr/p", "--json") == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["schema"] == "lidr.publish/1"
    assert answer["published"][0]["state"] == "already there"
    assert "token" not in answer["published"][0]


def test_it_is_said_who_can_read_it_and_under_which_licence(recipe, capsys, no_hub_outside):
    assert call(publish, recipe, "--pairs", "lidr/v", "--dry-run") == 0
    out, err = capsys.readouterr()
    said = "a repository that does not exist yet is made public: prompts, their ids and every answer can be read by all"
    assert said in err
    assert "lidr/v v0.1.0, licence other, content " in out
    assert call(publish, recipe, "--pairs", "lidr/v", "--dry-run", "--private") == 0
    assert "a repository that does not exist yet is made private" in capsys.readouterr().err


def test_a_repository_that_is_there_is_not_said_to_be_made(recipe, capsys, no_hub_outside):
    assert call(publish, recipe, "--pairs", "lidr/there", "--private") == 0
    assert "lidr/there: a new repository, private" in capsys.readouterr().err
    assert call(publish, recipe, "--pairs", "lidr/there") == 0
    err = capsys.readouterr().err
    assert "lidr/there exists, and stays private" in err
    assert "is made" not in err
    assert "public" not in err
    assert call(publish, recipe, "--pairs", "lidr/new") == 0
    assert "lidr/new: a new repository, public: prompts, their ids and every" in capsys.readouterr().err


def test_the_first_line_says_which_hub_it_goes_to_and_how_to_reach_another(recipe, capsys, no_hub_outside, monkeypatch):
    here = recipe.parent / "runs/.hub"
    elsewhere = f"the Hub on this machine ({here}); for huggingface.co: hf auth login, or set HF_TOKEN"
    assert call(publish, recipe, "--pairs", "lidr/q") == 0
    assert capsys.readouterr().err.splitlines()[0] == f"to {elsewhere}"
    assert call(publish, recipe, "--pairs", "lidr/q", "--dry-run") == 0
    assert capsys.readouterr().err.splitlines()[0] == f"would go to {elsewhere}"
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert call(publish, recipe, "--pairs", "lidr/q", "--dry-run") == 0
    assert capsys.readouterr().err.splitlines()[0] == "would go to http://127.0.0.1:9"


def test_where_one_repository_is_named_nothing_else_is_published(trained, tmp_path, capsys):
    text = trained.text.replace("iterations:", "  - publish: {pairs: me/a, policy: me/b}\niterations:")
    both = tmp_path / "both.yaml"
    both.write_text(text)
    assert call(publish, both, "--dry-run", "--json") == 0
    assert [one["repo"] for one in json.loads(capsys.readouterr().out)["would_publish"]] == ["me/a", "me/b"]
    assert call(publish, both, "--pairs", "me/z", "--dry-run", "--json") == 0
    assert [one["repo"] for one in json.loads(capsys.readouterr().out)["would_publish"]] == ["me/z"]


def test_a_run_that_has_still_to_publish_is_finished_enough_to_be_published_by_hand(recipe, capsys):
    both = recipe.with_name("pushed.yaml")
    both.write_text(recipe.read_text().replace("iterations:", "  - publish: {pairs: me/a}\niterations:"))
    push = "runtime.push=true"
    states = {step.name: step.state for step in lidr.plan(lidr.load_recipe(both, overrides=[push])).steps}
    assert states["publish"] == "new"
    assert call(publish, both, "--set", push, "--dry-run", "--json") == 0
    assert [one["repo"] for one in json.loads(capsys.readouterr().out)["would_publish"]] == ["me/a"]


def test_the_new_name_of_a_default_of_others_reaches_the_hub(recipe, no_hub_outside):
    with pytest.raises(HubError, match="no configuration `default` to rename: leave --rename-default out"):
        call(publish, recipe, "--pairs", "lidr/empty", "--rename-default", "theirs")


def test_a_dry_run_lists_the_files_and_asks_no_hub(recipe, capsys, monkeypatch):
    monkeypatch.setattr("lidr.cli.publish.hub_for", None)
    assert call(publish, recipe, "--pairs", "lidr/p", "--dry-run") == 0
    assert "all/iter_1-00000-of-00001.parquet" in capsys.readouterr().out
    assert call(publish, recipe, "--pairs", "lidr/p", "--dry-run", "--json") == 0
    (found,) = json.loads(capsys.readouterr().out)["would_publish"]
    assert {"README.md", "lidr/run.json", "lidr/content.json"} <= set(found["files"])


def test_what_older_rules_made_can_still_be_published(recipe, capsys, monkeypatch):
    monkeypatch.setitem(STEPS, "pair", replace(STEPS["pair"], version=STEPS["pair"].version + 1))
    assert call(publish, recipe, "--pairs", "lidr/p", "--dry-run") == 0


def test_card_prints_the_card_that_would_be_published(recipe, capsys):
    assert call(card, recipe, "--pairs", "lidr/p") == 0
    out = capsys.readouterr().out
    assert out.startswith("---\n")
    assert "# p\n" in out
    assert call(card, recipe, "--pairs", "lidr/p", "--json") == 0
    assert json.loads(capsys.readouterr().out)["card"] == out


def test_the_advice_to_run_first_keeps_what_was_given_for_the_recipe(recipe, tmp_path):
    given = [
        "--set",
        "version=0.0.9",
        "--set",
        "system_prompt=Be short; be kind",
        "--store",
        str(tmp_path / "my store"),
    ]
    with pytest.raises(HubError) as caught:
        call(publish, recipe, "--pairs", "a/b", *given)
    advice = str(caught.value).partition("can be published: ")[2]
    assert advice == shlex.join(["lidr", "run", str(recipe), *given])
    with pytest.raises(HubError, match=re.escape(advice)):
        call(card, recipe, "--pairs", "a/b", *given)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "nothing to publish"),
        (("--pairs", "x"), "org/name"),
        (("--pairs", "a/b", "--set", "chain.pair.drop=independent"), r"iter_1/pair is not finished \(`drifted`\)"),
        (("--pairs", "a/b", "--set", "version=9.9.9"), "Only a finished run"),
        (("--policy", "a/b"), "makes no policy"),
        (("--policy", "a/b", "--rename-default", "x"), "--rename-default is about a data set"),
        (("--pairs", "a/b", "--rename-default", "x y"), '"x y" cannot be a configuration'),
    ],
)
def test_what_cannot_be_published_is_said(recipe, words, said):
    with pytest.raises(HubError, match=said):
        call(publish, recipe, *words, "--dry-run")


def test_a_card_of_nothing_names_the_option(recipe):
    with pytest.raises(HubError, match="--policy"):
        call(card, recipe, "--pairs", "a/b", "--of", "policy")
