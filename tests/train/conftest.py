"""Models and pairs for the tests of training, and a clean slate for each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate.state import AcceleratorState

from lidr.train.training_spec import TrainSpec
from tests.tiny import tiny_model
from tests.train.runs import make_spec, rows, score_rows, write_pairs


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two tiny policies of the same family and different weights: `policy` and `initial`."""
    folder = tmp_path_factory.mktemp("models")
    return {name: tiny_model(folder / name, "smollm2", seed=seed) for name, seed in (("policy", 1), ("initial", 2))}


@pytest.fixture(scope="session")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The eight pairs of runs.TEXTS as a Parquet file."""
    return write_pairs(tmp_path_factory.mktemp("pairs") / "pairs.parquet", rows())


@pytest.fixture(scope="session")
def scores(models: dict[str, Path]) -> dict[str, list[tuple[float, float, int]]]:
    """Independent log-probabilities of the eight pairs under both models, see score_rows."""
    return {name: score_rows(folder, rows()) for name, folder in models.items()}


@pytest.fixture
def spec(tmp_path: Path, models: dict[str, Path], pairs: Path) -> Callable[..., TrainSpec]:
    """Make specs whose folders are new each time, over the shared models and pairs."""
    made = 0

    def make(**changes: Any) -> TrainSpec:
        nonlocal made
        made += 1
        inputs = {"policy": str(models["policy"]), "initial": str(models["initial"]), "pairs": (str(pairs),)}
        return make_spec(tmp_path / f"run{made}", **{**inputs, **changes})

    return make


@pytest.fixture(scope="package", autouse=True)
def _one_thread() -> Iterator[None]:
    """Models of this size are slower on two threads, and equal weights need one."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def _forget_the_last_trainer() -> None:
    """Accelerate keeps the precision of the first trainer of a process, and refuses another."""
    AcceleratorState._reset_state(reset_partial_state=True)
