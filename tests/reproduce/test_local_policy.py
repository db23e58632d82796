"""A release whose first policy is a folder that only its publisher has."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import lidr
from lidr.cli.main import main
from lidr.release.make_release import Destinations, release
from lidr.resources import shared
from tests.publishing import AT_ONCE, finished
from tests.scripted import RECIPE, write_world

SHIPPED = shared("recipes") / "miniature/skewed-1"
OF_A_FOLDER = RECIPE.replace('"openai:canned@http://127.0.0.1:9"', '"{folder}/mymodel"')


def kinds(verdict: dict) -> dict[str, str]:
    return {one["place"]: one["kind"] for one in verdict["verdicts"]}


@pytest.fixture
def own(tmp_path, hub, new_name) -> str:
    """Released from a copy of a policy that another recipe of the same store has already brought there."""
    folder: Path = tmp_path / "publisher"
    first = write_world(folder, RECIPE.replace('"openai:canned@http://127.0.0.1:9"', f'"{SHIPPED}"'))
    lidr.run(lidr.load_recipe(first), quiet=True)
    shutil.copytree(SHIPPED, folder / "mymodel")
    second = folder / "own.yaml"
    second.write_text(OF_A_FOLDER.replace("name: scripted", "name: own").format(folder=folder), encoding="utf-8")
    run = finished(second, policy_licence="cc0-1.0")
    assert run.records[0].reused_from, "taken over from the first run"
    repo: str = new_name("own")
    release(run, Destinations(repo, None), target=hub.target, patience=AT_ONCE)
    shutil.rmtree(folder)
    return repo


def test_the_name_of_a_policys_folder_decides_nothing(own, tmp_path, reproduced):
    shutil.copytree(SHIPPED, tmp_path / "reviewer/other-name")
    verdict = reproduced(f"{own}@v0.1.0", "--policy", str(tmp_path / "reviewer/other-name"))
    found = kinds(verdict)
    assert (verdict["verdict"], verdict["findings"], found["iter_0/policy"]) == ("identical", [], "identical")
    assert found["iter_1/generate"] == "identical"


def test_the_headline_says_what_could_not_be_checked_and_how_it_can_be(own, reproduced):
    verdict = reproduced(f"{own}@v0.1.0")
    said = "identical in what could be made (pair, filter); policy, prompts, generate, translate not checked"
    assert verdict["said"] == said
    policy = next(one for one in verdict["verdicts"] if one["place"] == "iter_0/policy")
    assert policy["reason"] == (
        "mymodel (on the machine that published; it is not in the release); give the policy's folder with "
        "--policy FOLDER"
    )
    prompts = next(one for one in verdict["verdicts"] if one["place"] == "iter_1/prompts")
    assert prompts["reason"] == (
        "prompts.source: no file or folder prompts (on the machine that published; it is not in the release); what "
        "follows is made from the published rows"
    )


def test_other_weights_than_the_releases_are_named_and_asked_nothing(own, reproduced):
    verdict = reproduced(f"{own}@v0.1.0", "--policy", str(shared("recipes") / "miniature/equal-1"))
    policy = next(one for one in verdict["verdicts"] if one["place"] == "iter_0/policy")
    assert policy["kind"] == "cannot run here"
    assert "what it read is another here: files.model.safetensors: " in policy["reason"]


def test_a_folder_that_is_no_model_is_refused(own, tmp_path, capsys, reproduced):
    reproduced_words = ["reproduce", f"{own}@v0.1.0", "--policy", str(tmp_path), "--out", str(tmp_path / "out")]
    assert main(reproduced_words) == 2
    assert "--policy: " in capsys.readouterr().err


def test_a_policy_that_is_no_folder_takes_none(pairs, tmp_path, capsys, reproduced):
    words = ["reproduce", f"{pairs}@v0.1.0", "--policy", str(SHIPPED), "--out", str(tmp_path / "out")]
    assert main(words) == 2
    assert "this release's policy is openai:canned@http://127.0.0.1:9, no folder; leave --policy out" in (
        capsys.readouterr().err
    )


def test_weights_that_came_with_lidr_are_called_so(tmp_path, hub, new_name, reproduced):
    model = '"./recipes/miniature/skewed-1"'
    recipe = write_world(tmp_path / "publisher", RECIPE.replace('"openai:canned@http://127.0.0.1:9"', model))
    release(finished(recipe), Destinations(repo := new_name("shipped"), None), target=hub.target, patience=AT_ONCE)
    verdict = reproduced(f"{repo}@v0.1.0", "--until", "policy")
    policy = next(one for one in verdict["verdicts"] if one["place"] == "iter_0/policy")
    assert policy["reason"].startswith("weights of this installation of lidr, artifact digest ")


def test_who_publishes_is_told_once_that_others_do_not_have_the_folder(tmp_path, capsys):
    note = "mymodel is a folder of this machine and no part of a release"
    text = OF_A_FOLDER.replace("iterations:", "  - publish: {{pairs: me/own, policy_license: cc0-1.0}}\niterations:")
    recipe = write_world(tmp_path, text.replace("store:", "push: false, store:"))
    shutil.copytree(SHIPPED, tmp_path / "mymodel")
    main(["validate", str(recipe)])
    assert capsys.readouterr().err.count(note) == 1
    assert main(["run", str(recipe), "--quiet"]) == 0
    assert capsys.readouterr().err.count(note) == 1
    assert main(["publish", str(recipe)]) == 0
    assert capsys.readouterr().err.count(note) == 1
    recipe.write_text(recipe.read_text().replace(f"{tmp_path}/mymodel", "./recipes/miniature/skewed-1"))
    main(["validate", str(recipe)])
    assert note not in capsys.readouterr().err
