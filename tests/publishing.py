"""A finished run without models, one with a tiny one, and an embedded Hub to publish to."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

import lidr
from lidr.hub.client import Patience, Target
from lidr.hub_server import serve_in_background
from lidr.release.finished import Finished, finished_run
from lidr.store.store import Store
from tests.scripted import NAMES, TINY, TOPICS, write_answers, write_world
from tests.tiny import tiny_model

TOKEN = "tok-" + "q7Wz" * 8
"""Recognisable, so that a test can look for it in everything that was written."""

AT_ONCE = Patience(tries=12, sleep=lambda seconds: None)
"""Tries again without waiting."""


@pytest.fixture(scope="session")
def world(tmp_path_factory) -> Finished:
    """Two iterations of canned answers; two translations fail, so that there are dropped rows."""
    return finished(failing_world(tmp_path_factory.mktemp("world") / "w"))


def failing_world(folder: Path) -> Path:
    """The scripted world, where two translations fail; its recipe."""
    recipe_file = write_world(folder)
    fails = tuple({"match": f"into {NAMES['es']}\\..*{TOPICS[i]} in English", "text": "</translated>"} for i in (0, 5))
    write_answers(folder / "answers.jsonl", first=fails)
    return recipe_file


def finished(recipe_file: Path, **said: Any) -> Finished:
    """Run a recipe and open what it made."""
    recipe = lidr.load_recipe(recipe_file)
    planned = lidr.run(recipe)
    return finished_run(recipe, Store(planned.version_folder.parent.parent), **said)


ONE_ITERATION = TINY.replace("name: scripted", "name: tiny").replace('  - prompts: "4:8"\n', "")


@pytest.fixture(scope="session")
def trained(tmp_path_factory) -> Finished:
    """One iteration with a tiny random model that is really trained."""
    folder = tmp_path_factory.mktemp("trained") / "w"
    recipe_file = write_world(folder, ONE_ITERATION)
    tiny_model(folder / "model", "smollm2")
    return finished(recipe_file, policy_licence="apache-2.0")


@dataclass(frozen=True)
class RunningHub:
    """The embedded Hub of the tests."""

    root: Path
    target: Target
    environment: dict[str, str]

    def faults(self, *faults: dict[str, Any]) -> None:
        """Make the next requests fail."""
        self._post("/lidr/faults", list(faults), "POST")

    def no_faults(self) -> None:
        """Forget all faults."""
        self._post("/lidr/faults", None, "DELETE")

    def _post(self, path: str, content: Any, method: str) -> None:
        request = urllib.request.Request(
            self.target.endpoint + path,
            data=json.dumps(content).encode(),
            method=method,
            headers={"Authorization": f"Bearer {self.target.token}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request) as answer:
            answer.read()

    def run(self, code: str, *, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run Python in a fresh process whose environment was set before it started."""
        surroundings = {**os.environ, **self.environment}
        return subprocess.run(
            [sys.executable, "-c", code], env=surroundings, text=True, capture_output=True, check=check
        )


@pytest.fixture(scope="session")
def running(tmp_path_factory) -> Iterator[RunningHub]:
    root = tmp_path_factory.mktemp("hub")
    with serve_in_background(root, token=TOKEN) as hub:
        yield RunningHub(root, Target(hub.url, hub.token), hub.environment)


@pytest.fixture
def hub(running) -> Iterator[RunningHub]:
    """The embedded Hub, without faults before and after."""
    running.no_faults()
    yield running
    running.no_faults()


@pytest.fixture
def new_name() -> Callable[[str], str]:
    """A repository that no other test uses."""
    import uuid

    return lambda name: f"lidr/{name}-{uuid.uuid4().hex[:8]}"


def with_lidr(run: Finished, version: str) -> Finished:
    """The same run, as a lidr of this version would have recorded it."""
    made = (
        replace(a, record=replace(a.record, versions={**a.record.versions, "lidr": version})) for a in run.artifacts
    )
    return replace(run, artifacts=tuple(made))
