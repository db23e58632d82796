"""Training in a process of its own: steps as they come, errors by name, and a killed run that goes on."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lidr.errors import EngineError, MissingExtraError, TrainError
from lidr.train import train_process
from lidr.train.train_process import train
from lidr.train.train_worker import handle
from lidr.train.training_spec import StepMetrics, TrainResult, TrainSpec
from tests.train.runs import ignore, row, run_here, write_pairs
from tests.train.test_checkpoints import assert_equal_weights

MakeSpec = Callable[..., TrainSpec]


class KilledError(Exception):
    """Raised in the parent, which ends the child with SIGKILL."""


def test_a_killed_run_goes_on_to_the_same_weights(spec: MakeSpec, tmp_path: Path) -> None:
    settings = {"batch": 1, "micro_batch": 1, "epochs": 3.0, "save_steps": 2}
    whole, killed = spec(**settings), spec(**settings)
    expected = run_here(whole)

    def kill(step: StepMetrics, total: int) -> None:
        assert total == 24
        if step.step == 5:
            raise KilledError

    with pytest.raises(KilledError):
        train(killed, log=tmp_path / "train.log", on_step=kill)
    assert not Path(killed.model_out).exists()
    assert list(Path(killed.work).glob("*/checkpoint-*"))
    seen: list[StepMetrics] = []
    result = train(killed, log=tmp_path / "train.log", on_step=lambda step, total: seen.append(step))
    assert seen[0].step >= 3  # not from the start
    assert result.steps == expected.steps
    assert result.steps[seen[0].step - 1 :] == tuple(seen)
    assert result.groups == expected.groups
    assert_equal_weights(whole, killed)


def test_a_train_error_of_the_child_is_one_in_the_parent(spec: MakeSpec, tmp_path: Path) -> None:
    equal = write_pairs(tmp_path / "equal.parquet", [row("a", "Why?", "No.", "No.")])
    with pytest.raises(TrainError, match=r"no pair left to train on: all 1 were dropped\.\n  1 equal_completions"):
        train(spec(pairs=(str(equal),)), log=tmp_path / "train.log", on_step=ignore)


def test_the_child_replies_with_each_step_and_then_the_result(spec: MakeSpec) -> None:
    replies = list(handle(dataclasses.asdict(spec(batch=4, micro_batch=4))))
    assert [(reply["step"]["step"], reply["total"]) for reply in replies[:-1]] == [(1, 2), (2, 2)]
    assert TrainResult.from_json(replies[-1]["result"]).pairs_trained == 8


def test_what_breaks_in_the_child_is_raised_there(spec: MakeSpec) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.parquet"):
        list(handle(dataclasses.asdict(spec(pairs=("/none.parquet",)))))


class BrokenWorker:
    """Stands for a worker that breaks, or dies, or ends without a word."""

    def __init__(self, module: str, **_: Any) -> None:
        self.closed: list[float] = []

    def send(self, message: Any) -> None:
        """Take it and say nothing."""

    def replies(self) -> Iterator[dict[str, Any]]:
        raise EngineError("the worker lidr.train.train_worker ended early (exit status -9). Its log is ...")
        yield {}

    def close(self, grace_s: float) -> None:
        assert grace_s == 0  # what is left of it is not waited for


class SilentWorker(BrokenWorker):
    def replies(self) -> Iterator[dict[str, Any]]:
        return iter(())


@pytest.mark.parametrize(
    ("worker", "message"),
    [
        (BrokenWorker, r"ended early \(exit status -9\)"),
        (SilentWorker, r"ended without a result, as when memory runs out; its log is .*train\.log"),
    ],
)
def test_a_worker_that_breaks_is_a_train_error(
    worker: Any, message: str, spec: MakeSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train_process, "Worker", worker)
    with pytest.raises(TrainError, match=message):
        train(spec(), log=tmp_path / "train.log", on_step=ignore)


def test_a_missing_package_is_named_with_the_pip_line(
    spec: MakeSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "trl", None)
    with pytest.raises(MissingExtraError, match=r"training needs the package 'trl'.*pip install 'lidr\[train\]'"):
        train(spec(), log=tmp_path / "train.log", on_step=ignore)


def test_the_parent_imports_no_torch() -> None:
    modules = "sys, lidr.train.train_process, lidr.train.train_worker"
    code = f"import {modules}; print('torch' in sys.modules, 'trl' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["False", "False"]
