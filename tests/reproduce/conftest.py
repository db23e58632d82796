"""Releases on an embedded Hub, and reproductions in fresh processes whose home is empty."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from lidr.evals.benchmark_rows import Loaded
from lidr.evals.benchmarks import task_specs
from lidr.evals.compare.iteration_differences import differences
from lidr.evals.judge.verdicts import Verdict
from lidr.evals.results import DataFacts, ModelFacts, Results, read_scores
from lidr.evals.scoring import write_scored
from lidr.hub.client import plain_uploads
from lidr.release.finished import Finished
from lidr.release.make_release import Destinations, release
from lidr.steps.evaluate import Scores
from lidr.store.artifact import Artifact, ArtifactWriter
from lidr.store.record import write_record
from tests.publishing import AT_ONCE, RunningHub
from tests.scripted import TINY, write_world
from tests.seeded import DECODING, JUDGE
from tests.tiny import tiny_model

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


def publish_run(running: RunningHub, name: str, folder: Path, recipe: Path, base: Path) -> None:
    """Put a base model on the Hub as NAME-base@v1, lock and run a recipe that names it, and publish what came out."""
    api = running.target.api()
    api.create_repo(f"{name}-base")
    with plain_uploads(running.target):
        api.upload_folder(repo_id=f"{name}-base", folder_path=base)
    api.create_tag(f"{name}-base", tag="v1")
    machine = Elsewhere(running, folder / "home")
    for words in (
        ("lock", str(recipe)),
        ("run", str(recipe), "--quiet"),
        ("publish", str(recipe), "--pairs", f"{name}-prefs", "--policy", name),
    ):
        done = machine.lidr(*words)
        assert done.returncode == 0, done.stderr[-3000:]


@pytest.fixture(scope="session")
def tiny(running, tmp_path_factory) -> str:
    """A run of a tiny model that is itself on the Hub, locked, run and published by the command line; the
    name that its three repositories begin with.
    """
    name, folder = "lidr/repro", tmp_path_factory.mktemp("tiny")
    recipe = write_world(folder / "w", SMALL.replace("{folder}/model", f"{name}-base@v1"))
    publish_run(running, name, folder, recipe, tiny_model(folder / "base", "smollm2"))
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


ANSWERS = {
    "en": "The hen lays nine eggs every day, and the farmer sells most of them. The answer is {}.",
    "de": "Die Henne legt jeden Tag neun Eier, und der Bauer verkauft die meisten davon. Die Antwort ist {}.",
}
ITEMS = 6


def _evaluation(world: Finished, k: int, folder: Path, first: Artifact | None) -> Artifact:
    """An evaluate step as a run leaves it, but for the model: canned answers and preferences, scored by the rules."""
    loaded, said, verdicts = {}, {}, {}
    for task in task_specs(("mgsm", "x_alpacaeval"), ("en", "de")):
        rows = [{"item": str(i), "question": "How many eggs?", "gold": str(i + 7)} for i in range(ITEMS)]
        if task.benchmark == "x_alpacaeval":
            rows = [{"item": row["item"], "instruction": "Tell me.", "reference": "It is so. " * 4} for row in rows]
            for i in range(ITEMS):
                verdicts[f"{task.task}/{i}"] = Verdict(str(i), None if i == 5 else 1 + ((i + k) % 4) / 3)
        facts = DataFacts(source=f"{task.benchmark}/{task.language}.jsonl", sha256="ab" * 32, rows=ITEMS, asked=ITEMS)
        loaded[task.task] = Loaded(tuple(rows), facts)
        text = ANSWERS[task.language]
        said[task] = {str(i): text.format(i + 7 if i < 3 + k else 99) + " So." * i for i in range(ITEMS)}
    writer = ArtifactWriter(folder, Scores)
    shell = Results(
        name=f"iter_{k}", model=ModelFacts(reference="x"), engine={}, versions={}, seeds={}, created="", tasks=()
    )
    results = write_scored(folder / "results", shell, DECODING, loaded, said, verdicts, JUDGE)
    scores = read_scores(folder / "results")
    writer.data.write(scores)
    files, digest = writer.finish()
    found = [one.as_json() for one in differences(first.read(), scores, baseline="iter_0")] if first else []
    record = replace(
        world.records[-1],
        iteration=k,
        step="evaluate",
        writes="scores",
        files=files,
        digest=digest,
        counts={"tasks": [task.model_dump(mode="json") for task in results.tasks], "differences": found},
        inputs={"scores_0": {"place": "iter_0/evaluate"}} if first else {},
    )
    write_record(folder, record)
    return Artifact(folder, record)


@pytest.fixture(scope="session")
def scored_world(world, tmp_path_factory) -> Finished:
    return with_evaluations(world, tmp_path_factory.mktemp("scored"))


def with_evaluations(world: Finished, folder: Path) -> Finished:
    """The scripted world with an evaluation before and after its first iteration."""
    before = _evaluation(world, 0, folder / "0", None)
    after = _evaluation(world, 1, folder / "1", before)
    artifacts = list(world.artifacts)
    artifacts.insert(1 + max(at for at, a in enumerate(artifacts) if a.record.iteration == 1), after)
    artifacts.insert(1 + max(at for at, a in enumerate(artifacts) if a.record.iteration == 0), before)
    return replace(world, artifacts=tuple(artifacts))


@pytest.fixture
def scored(scored_world, hub, new_name) -> str:
    """Its pairs, released with its evaluations."""
    repo: str = new_name("scored")
    release(scored_world, Destinations(repo, None), target=hub.target, patience=AT_ONCE)
    return repo
