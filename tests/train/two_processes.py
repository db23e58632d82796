"""Run by test_distributed.py, twice at once: one optimiser step of a spec, and its gradient for comparison.

python -m torch.distributed.run --nproc_per_node 2 -m tests.train.two_processes SPEC.json GRADIENT.pt
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch

from lidr.train.training_spec import TrainSpec
from tests.train.runs import train_here


def main(spec_file: str, gradient_file: str) -> None:
    """Train; process 0 writes what it logged and the gradient that both processes share."""
    torch.set_num_threads(1)
    trained = train_here(TrainSpec.from_json(json.loads(Path(spec_file).read_text())))
    if trained.trainer.is_world_process_zero():
        torch.save({"steps": trained.steps, "gradient": trained.gradient}, gradient_file)


if __name__ == "__main__":
    main(*sys.argv[1:])
