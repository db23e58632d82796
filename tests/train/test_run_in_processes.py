"""A recipe that trains in two processes, by the command: the policy of one, and nobody left behind by a kill."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from safetensors.torch import load_file

from lidr.cli.main import main
from tests.scripted import RECIPE, write_world
from tests.tiny import tiny_model

TRAINED = RECIPE.replace('"openai:canned@http://127.0.0.1:9"', "{folder}/model").replace('  - prompts: "4:8"\n', "")
ONCE = TRAINED.replace("iterations:", "  - train: {{learning_rate: 1e-3, batch: 6, max_length: 400}}\niterations:")
MANY = ONCE.replace("batch: 6", "batch: 6, epochs: 24")

TOGETHER = (
    "runtime.train_processes=2",
    "runtime.micro_batch=3",
    "runtime.threads=1",
)  # 16 pairs: 3 x 4 and a ragged rest


def world(folder: Path, recipe: str) -> Path:
    path = write_world(folder, recipe)
    tiny_model(folder / "model", "smollm2", seed=1)
    return path


def words(*settings: str) -> list[str]:
    return [word for setting in settings for word in ("--set", setting)]


def weights(recipe: Path) -> dict[str, Any]:
    (file,) = recipe.parent.glob("runs/scripted/0.1.0/iter_1/train/model/model.safetensors")
    return load_file(file)


def record(recipe: Path) -> dict[str, Any]:
    (file,) = recipe.parent.glob("runs/scripted/0.1.0/iter_1/train/record.json")
    return dict(json.loads(file.read_text()))


def assert_same_policy(one: Path, other: Path, within: float = 1e-6) -> None:
    left, right = weights(one), weights(other)
    assert {*left} == {*right}
    assert max(float((left[name] - right[name]).abs().max()) for name in left) < within


ON_CPU = "distributed_type: MULTI_CPU\nnum_processes: 2\nmixed_precision: 'no'\nuse_cpu: true\n"
IN_PARTS = "distributed_type: FSDP\nnum_processes: 2\nfsdp_config: {fsdp_version: 2}\n"


@pytest.mark.slow
def test_a_recipe_that_trains_in_two_processes_gives_the_policy_of_one(tmp_path: Path) -> None:
    alone, together = world(tmp_path / "alone", ONCE), world(tmp_path / "together", ONCE)
    assert main(["run", str(alone), "--quiet", *words(*TOGETHER[1:])]) == 0
    assert main(["run", str(together), "--quiet", *words(*TOGETHER)]) == 0
    assert_same_policy(alone, together)
    one, two = record(alone), record(together)
    for name, text, said in (
        ("file", ON_CPU, {"train_processes": 2}),
        ("parts", IN_PARTS, {"train_processes": 2, "sharding": "fsdp"}),
    ):
        by_file = world(tmp_path / name, ONCE)
        (by_file.parent / "accelerate.yaml").write_text(text)
        asked = ("runtime.accelerate_config=accelerate.yaml", *TOGETHER[1:])
        assert main(["run", str(by_file), "--quiet", *words(*asked)]) == 0
        assert_same_policy(together, by_file)
        three = record(by_file)
        assert {**said, "accelerate_config": "accelerate.yaml"}.items() <= three["execution"].items()
        assert three["identity"]["config"] == one["identity"]["config"]
    assert two["execution"]["train_processes"] == 2
    assert "train_processes" not in one["execution"]
    assert one["identity"]["config"] == two["identity"]["config"]
    assert main(["run", str(together), "--quiet", *words(*TOGETHER[1:])]) == 0  # nothing is made again
    assert record(together) == two


# -- kills


class Training:
    """The command, run as a process of its own, until its training has written a new checkpoint."""

    def __init__(self, recipe: Path) -> None:
        before = self._newest(recipe)
        command = [sys.executable, "-m", "lidr.cli.main", "run", str(recipe), "--quiet"]
        self.said = recipe.parent / "said.txt"
        with self.said.open("w") as said:
            self.command = subprocess.Popen(
                [*command, *words(*TOGETHER, "runtime.save_steps=2")], start_new_session=True, stderr=said
            )
        until = time.monotonic() + 900
        while self._newest(recipe) <= before:
            if self.command.poll() is not None or time.monotonic() > until:
                self.command.terminate()
                self.command.wait()
                raise AssertionError(f"no checkpoint was written: {self.said.read_text()}")
            time.sleep(0.02)
        self.started = psutil.Process(self.command.pid).children(recursive=True)

    @staticmethod
    def _newest(recipe: Path) -> int:
        work = recipe.parent / "runs/scripted/0.1.0/iter_1/train.partial/work"
        while True:
            try:
                sealed = [path.parent.name for path in work.glob("*/checkpoint-*/lidr.manifest.json")]
                return max((int(name.removeprefix("checkpoint-")) for name in sealed), default=0)
            except FileNotFoundError:  # an older one was removed meanwhile
                continue

    def of(self, what: str) -> list[psutil.Process]:
        """Started processes whose command line names it."""
        return [child for child in self.started if what in " ".join(child.cmdline())]

    def ranks(self) -> Iterator[psutil.Process]:
        """In the order of their ranks."""
        found = [rank for rank in self.of("lidr.train.train_worker /") if rank not in self.of("torch.distributed.run")]
        yield from sorted(found, key=lambda rank: int(rank.environ()["RANK"]))

    def assert_gone(self) -> None:
        _, alive = psutil.wait_procs(self.started, timeout=10)
        assert [one for one in alive if one.is_running() and one.status() != psutil.STATUS_ZOMBIE] == []


@pytest.mark.slow
def test_whoever_is_killed_all_are_gone_and_the_same_command_goes_on(tmp_path: Path) -> None:
    alone, killed = world(tmp_path / "alone", MANY), world(tmp_path / "killed", MANY)
    assert main(["run", str(alone), "--quiet", *words(*TOGETHER[1:])]) == 0

    training = Training(killed)
    _, second = training.ranks()
    second.kill()
    assert training.command.wait(60) == 2
    assert "process 1 ended early" in training.said.read_text()
    assert "Traceback" not in training.said.read_text()
    training.assert_gone()

    training = Training(killed)
    (launcher,) = training.of("torch.distributed.run")
    launcher.kill()
    assert training.command.wait(60) == 2
    training.assert_gone()

    training = Training(killed)
    worker = psutil.Process(training.of("torch.distributed.run")[0].ppid())
    worker.kill()
    assert training.command.wait(60) == 2
    training.assert_gone()

    training = Training(killed)
    os.kill(training.command.pid, signal.SIGKILL)
    training.command.wait()
    training.assert_gone()

    assert main(["run", str(killed), "--quiet", *words(*TOGETHER)]) == 0
    assert record(killed)["counts"]["steps"] == record(alone)["counts"]["steps"]
    assert_same_policy(alone, killed, within=1e-5)  # over many steps
