"""Releases on an embedded Hub, and reproductions in fresh processes whose home is empty."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lidr.hub.client import plain_uploads
from lidr.hub.release import Destinations, release
from tests.hub.conftest import AT_ONCE, RunningHub, hub, new_name, running, world
from tests.scripted import TINY, write_world
from tests.tiny import tiny_model

__all__ = ["hub", "new_name", "running", "world"]  # fixtures

SMALL = TINY.replace("name: scripted", "name: tiny").replace('"0:4"', '"0:2"')
SMALL = SMALL.replace('"4:8"', '"2:4"') if os.environ.get("LIDR_PROVE") else SMALL.replace('  - prompts: "4:8"\n', "")
"""Two iterations where there is time, else one."""


@dataclass(frozen=True)
class Elsewhere:
    """A machine that has nothing but the address of a Hub: its home, its cache and its store are empty."""

    hub: RunningHub
    home: Path

    def lidr(self, *words: str) -> subprocess.CompletedProcess[str]:
        """One command in a fresh process."""
        (self.home / "work").mkdir(parents=True, exist_ok=True)
        surroundings = {name: value for name, value in os.environ.items() if name not in ("LIDR_STORE", "LIDR_DATA")}
        surroundings |= {**self.hub.environment, "HF_HOME": str(self.home / "hf"), "HOME": str(self.home)}
        return subprocess.run(
            [sys.executable, "-m", "lidr.cli.main", *words],
            cwd=self.home / "work",
            env={**surroundings, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.getcwd()},
            text=True,
            capture_output=True,
            check=False,
        )

    def reproduce(self, *words: str, rc: int = 0) -> dict[str, Any]:
        """The verdict of a reproduction."""
        done = self.lidr("reproduce", *words, "--json", "--quiet")
        assert done.returncode == rc, done.stderr[-3000:]
        verdict: dict[str, Any] = json.loads(done.stdout)
        return verdict


@pytest.fixture
def elsewhere(hub, tmp_path) -> Elsewhere:
    return Elsewhere(hub, tmp_path / "elsewhere")


@pytest.fixture
def reproduced(hub, tmp_path, monkeypatch, capsys) -> Callable[..., dict[str, Any]]:
    """The verdict of a reproduction in this process; it is quicker, and its cache and store are empty too."""
    from lidr.cli.main import main

    for name in ("HF_ENDPOINT", "HF_TOKEN"):
        monkeypatch.setenv(name, hub.environment[name])
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))

    def reproduce(*words: str, rc: int = 0) -> dict[str, Any]:
        capsys.readouterr()
        assert main(["reproduce", *words, "--json", "--quiet", "--out", str(tmp_path / "out")]) == rc
        verdict: dict[str, Any] = json.loads(capsys.readouterr().out)
        return verdict

    return reproduce


@pytest.fixture
def pairs(world, hub, new_name) -> str:
    """The scripted world's pairs, released under a name of their own."""
    repo: str = new_name("prefs")
    release(world, Destinations(repo, None), target=hub.target, patience=AT_ONCE)
    return repo


@pytest.fixture(scope="session")
def tiny(running, tmp_path_factory) -> str:
    """A run of a tiny model that is itself on the Hub, locked, run and published by the command line; the
    name that its three repositories begin with.
    """
    name, folder = "lidr/repro", tmp_path_factory.mktemp("tiny")
    recipe = write_world(folder / "w", SMALL.replace("{folder}/model", f"{name}-base@v1"))
    api = running.target.api()
    api.create_repo(f"{name}-base")
    with plain_uploads(running.target):
        api.upload_folder(repo_id=f"{name}-base", folder_path=tiny_model(folder / "base", "smollm2"))
    api.create_tag(f"{name}-base", tag="v1")
    machine = Elsewhere(running, folder / "home")
    for words in (
        ("lock", str(recipe)),
        ("run", str(recipe), "--quiet"),
        ("publish", str(recipe), "--pairs", f"{name}-prefs", "--policy", name),
    ):
        done = machine.lidr(*words)
        assert done.returncode == 0, done.stderr[-3000:]
    return name


def tamper(hub: RunningHub, repo: str, repo_type: str, path: str, change: Callable[[bytes], bytes]) -> None:
    """Commit another content of one file with the genuine client, and move the tag to that commit."""
    from huggingface_hub import CommitOperationAdd

    api, where = hub.target.api(), {"repo_id": repo, "repo_type": repo_type}
    there = Path(api.hf_hub_download(**where, filename=path, revision="v0.1.0", cache_dir=hub.root / "tampering"))
    operation = CommitOperationAdd(path, change(there.read_bytes()))
    with plain_uploads(hub.target):
        sha = api.create_commit(**where, operations=[operation], commit_message="Small fixes").oid
    api.delete_tag(**where, tag="v0.1.0")
    api.create_tag(**where, tag="v0.1.0", revision=sha)
