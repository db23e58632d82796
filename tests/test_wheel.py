"""The wheel alone, in an empty folder: recipes and the data that they read are in it."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from this tree, as pip builds it."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(ROOT)]
    subprocess.run(command, check=True)
    (built,) = folder.glob("lidr-*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Unpacked, which is all that installing a wheel of Python files is."""
    folder = tmp_path_factory.mktemp("installed")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def lidr(installed: Path, folder: Path, *words: str) -> str:
    env = {**os.environ, "PYTHONPATH": str(installed)}
    command = [sys.executable, "-m", "lidr.cli.main", *words]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=True).stdout


def test_what_the_first_command_runs_is_in_the_wheel_and_plans_in_an_empty_folder(installed, tmp_path):
    where = [sys.executable, "-c", "import lidr.resources as r; print(r.shared('recipes'))"]
    env = {**os.environ, "PYTHONPATH": str(installed)}
    recipes = subprocess.run(where, cwd=tmp_path, env=env, capture_output=True, text=True, check=True).stdout.strip()
    assert Path(recipes).is_relative_to(installed)
    assert "--set" in lidr(installed, tmp_path, "quickstart", "--help")
    first = str(Path(recipes) / "first.yaml")
    assert "valid" in lidr(installed, tmp_path, "validate", first)
    planned = lidr(installed, tmp_path, "plan", first)
    assert "iter_2/publish" in planned
    assert "unresolved" not in planned
    assert str(ROOT) not in planned


def test_a_copied_recipe_plans_there_too(installed, tmp_path):
    lidr(installed, tmp_path, "cp", "first", "my.yaml")
    assert "iter_2/evaluate" in lidr(installed, tmp_path, "plan", "my.yaml")
