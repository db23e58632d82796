"""Two processes, each with half of the optimiser batch, against one process with all of it."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from lidr.train.training_spec import TrainSpec
from tests.train.runs import train_here

ROOT = Path(__file__).parents[2]


def test_per_batch_is_the_mean_over_all_processes(spec: Callable[..., TrainSpec], tmp_path: Path) -> None:
    alone = train_here(spec(nll_per="batch", reference="initial"))
    shared = spec(nll_per="batch", reference="initial", micro_batch=2)
    (tmp_path / "spec.json").write_text(json.dumps(dataclasses.asdict(shared)))
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    files = [str(tmp_path / name) for name in ("spec.json", "gradient.pt")]
    subprocess.run(
        [*launcher, "-m", "tests.train.two_processes", *files],
        check=True,
        cwd=ROOT,
        env={**os.environ, "ACCELERATE_USE_CPU": "1", "OMP_NUM_THREADS": "1"},
    )
    together = torch.load(files[1])
    for name in ("loss", "dpo", "nll", "rewards/margins", "rewards/accuracies"):
        # a margin is the small difference of large float32 sums: it has no relative precision
        assert together["steps"][0][name] == pytest.approx(alone.steps[0][name], rel=1e-5, abs=1e-5)
    largest = max(float(gradient.abs().max()) for gradient in alone.gradient.values())
    for name, gradient in alone.gradient.items():
        other = together["gradient"][name]
        assert float((gradient - other).abs().max()) < 1e-5 * largest
