"""`lidr runs` and `lidr rm`: what the store holds, what goes, what stays and why; where the store is."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys

import pytest

from lidr.cli.main import main
from lidr.errors import StoreError
from lidr.store import find_store
from tests.scripted import RECIPE, write_world


@pytest.fixture(autouse=True)
def _own_store(monkeypatch):
    monkeypatch.delenv("LIDR_STORE", raising=False)


@pytest.fixture
def world(tmp_path, capsys):
    recipe = write_world(tmp_path)
    assert main(["run", str(recipe), "--quiet"]) == 0
    capsys.readouterr()
    return recipe


def test_runs_are_listed_with_their_state_and_size(world, tmp_path, capsys):
    main(["run", str(world), "--set", "version=0.2.0", "--until", "generate", "--quiet"])
    capsys.readouterr()
    assert main(["runs", "--store", str(tmp_path / "runs"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["runs"]
    assert [(one["version"], one["state"]) for one in found] == [("0.1.0", "finished"), ("0.2.0", "not finished")]
    assert all(one["bytes"] > 1000 for one in found)
    assert main(["runs", "--store", str(tmp_path / "none")]) == 0
    assert "no run yet: lidr run RECIPE makes one" in capsys.readouterr().err


def test_rm_removes_a_run_only_when_it_is_told_to(world, tmp_path, capsys, monkeypatch):
    folder = tmp_path / "runs" / "scripted"
    words = ["rm", "scripted@0.1.0", "--store", str(tmp_path / "runs")]
    assert main([*words, "--dry-run"]) == 0
    assert "scripted@0.1.0: all of it can go" in capsys.readouterr().out
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    assert main(words) == 2
    assert "add --yes, or --dry-run" in capsys.readouterr().err
    assert (folder / "0.1.0" / "run.json").exists()
    assert main([*words, "--yes"]) == 0
    assert not folder.exists()


def test_rm_keeps_what_another_version_took_over_and_what_that_was_made_from(world, tmp_path, capsys):
    more = ["--set", "version=0.2.0", "--set", "chain.filter.length_ratio.max=4.0", "--quiet"]
    assert main(["run", str(world), *more]) == 0
    capsys.readouterr()
    assert main(["rm", "scripted@0.1.0", "--store", str(tmp_path / "runs"), "--yes"]) == 0
    out = capsys.readouterr().out
    assert "goes   iter_2/filter" in out
    assert "iter_1/pair" in out.split("taken over by scripted/0.2.0/iter_1/pair")[0].splitlines()[-1]
    kept = tmp_path / "runs" / "scripted" / "0.1.0"
    assert (kept / "iter_1" / "pair" / "record.json").exists()
    assert not (kept / "iter_1" / "filter").exists()
    assert main(["run", str(world), *more]) == 0  # nothing of it is missed


def test_rm_keeps_a_published_run(tmp_path, capsys):
    text = RECIPE.replace("iterations:", "  - publish: {{pairs: lidr/kept}}\niterations:")
    recipe = write_world(tmp_path, text.replace("engine: scripted", "push: true, hub: embedded, engine: scripted"))
    environment = {**os.environ, "HF_HUB_DISABLE_XET": "1", "HF_HOME": str(tmp_path / "home")}
    command = [sys.executable, "-m", "lidr.cli.main", "run", str(recipe), "--quiet"]
    subprocess.run(command, check=True, env=environment)
    assert main(["rm", "scripted@0.1.0", "--store", str(tmp_path / "runs"), "--yes"]) == 0
    out = capsys.readouterr().out
    assert "scripted@0.1.0: nothing can go" in out
    assert "published as lidr/kept" in out


def test_rm_says_which_runs_there_are(world, tmp_path, capsys):
    assert main(["rm", "scripted@9.9.9", "--store", str(tmp_path / "runs")]) == 2
    assert "versions of scripted: 0.1.0" in capsys.readouterr().err
    assert main(["rm", "scripted", "--store", str(tmp_path / "runs")]) == 2
    assert "name one version of a run, as quickstart@0.1.0" in capsys.readouterr().err


def test_a_store_is_looked_for_in_the_working_folder_then_beside_the_recipe_and_made_where_one_works(
    tmp_path, monkeypatch
):
    beside, here = tmp_path / "recipes", tmp_path / "here"
    beside.mkdir()
    here.mkdir()
    monkeypatch.chdir(here)
    assert find_store("runs", beside).why == "new, in the working folder"
    (beside / "runs").mkdir()
    assert find_store("runs", beside).root == beside / "runs"
    (here / "runs").mkdir()
    assert find_store("runs", beside).root.resolve() == here / "runs"
    monkeypatch.setenv("LIDR_STORE", str(tmp_path / "named"))
    assert find_store("runs", beside).root == tmp_path / "named"


def test_no_store_is_made_or_found_inside_an_installed_lidr(tmp_path, monkeypatch):
    package = tmp_path / "site-packages" / "lidr"
    (package / "_share" / "recipes" / "runs").mkdir(parents=True)
    monkeypatch.setattr("lidr.store.store.__file__", str(package / "store" / "store.py"))
    monkeypatch.chdir(tmp_path)
    assert find_store("runs", package / "_share" / "recipes").why == "new, in the working folder"
    monkeypatch.chdir(package / "_share")
    with pytest.raises(StoreError, match="inside the installed lidr, where no store is made"):
        find_store("runs")
