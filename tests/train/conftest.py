"""Models and pairs for the tests of training, and a clean slate for each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl", reason="the extra `train` is not installed")

import datasets
import torch
from accelerate.state import AcceleratorState

from lidr.train.spec import TrainSpec
from tests.tiny import tiny_model
from tests.train.runs import make_spec, rows, write_pairs


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two tiny policies of the same family and different weights: `policy` and `initial`."""
    folder = tmp_path_factory.mktemp("models")
    return {name: tiny_model(folder / name, "smollm2", seed=seed) for name, seed in (("policy", 1), ("initial", 2))}


@pytest.fixture(scope="session")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The eight pairs of runs.TEXTS as a Parquet file."""
    return write_pairs(tmp_path_factory.mktemp("pairs") / "pairs.parquet", rows())


@pytest.fixture
def spec(tmp_path: Path, models: dict[str, Path], pairs: Path) -> Callable[..., TrainSpec]:
    """Make specs whose folders are new each time, over the shared models and pairs."""
    made = 0

    def make(**changes: Any) -> TrainSpec:
        nonlocal made
        made += 1
        folders = models["policy"], models["initial"]
        return make_spec(tmp_path / f"run{made}", *folders, changes.pop("pairs", (str(pairs),)), **changes)

    return make


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Two threads at most, no network, no progress bars; forget the precision that the last trainer chose."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    datasets.disable_progress_bars()
    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    torch.set_num_threads(threads)
