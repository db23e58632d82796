"""One rank of an lm-eval run: python -m tests.parity.two_ranks RANK WORLD STORE OUT LIMIT TASK..."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from lm_eval.evaluator import simple_evaluate
from lm_eval.tasks import TaskManager

from lidr.resources import shared
from tests.parity.canned import CannedLM


def main(rank: int, world: int, store: str, out: Path, limit: int, tasks: list[str]) -> None:
    if world > 1:
        import torch.distributed as dist

        dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=world)
    manager = TaskManager(include_path=[str(shared("evals"))], include_defaults=False)
    found = simple_evaluate(
        model=CannedLM(rank, world), tasks=tasks, task_manager=manager, limit=limit, bootstrap_iters=0
    )
    assert (found is None) == (rank > 0)
    if found is not None:
        out.write_text(json.dumps({"results": found["results"], "samples": found["samples"]}, default=str))
    if world > 1:
        dist.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], Path(sys.argv[4]), int(sys.argv[5]), sys.argv[6:])
