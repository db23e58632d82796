"""Run by test_processes.py in each of several processes: whole runs of many specs, one after another.

A spec may be said to end after so many steps, as when it is killed: it begins a run that a later one goes on with.

python -m torch.distributed.run --nproc_per_node 2 -m tests.train.several_runs SPECS.json RESULTS.json
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from pathlib import Path
from typing import Any

import torch
from accelerate.state import AcceleratorState, GradientState

from lidr.errors import TrainError
from lidr.train import dpo
from lidr.train.training_run import run
from lidr.train.training_spec import StepMetrics, TrainSpec


def weigh_parts(held: list[int]) -> None:
    """Keep how many numbers of each model that is loaded in parts this process holds."""
    load = dpo.load_in_parts

    def load_and_weigh(*args: Any, **more: Any) -> Any:
        model = load(*args, **more)
        held.append(sum(parameter.to_local().numel() for parameter in model.parameters()))
        return model

    dpo.load_in_parts = load_and_weigh


def main(specs_file: str, results_file: str) -> None:
    """Run them all; process 0 writes what came out."""
    torch.set_num_threads(1)
    results: list[Any] = []
    held: list[int] = []
    weigh_parts(held)
    for given in json.loads(Path(specs_file).read_text()):
        stop = given.pop("stop", None)

        def on_step(step: StepMetrics, total: int, stop: int | None = stop) -> None:
            if step.step == stop:
                raise TrainError("stopped")

        AcceleratorState._reset_state(reset_partial_state=False)
        GradientState._reset_state()
        held.clear()
        try:
            result = dataclasses.asdict(run(TrainSpec.from_json(given), on_step))
        except TrainError:
            if stop is None:
                raise
            continue
        results.append({"result": result, "held": [*held]})
    if os.environ["RANK"] == "0":
        Path(results_file).write_text(json.dumps(results))


if __name__ == "__main__":
    main(*sys.argv[1:])
