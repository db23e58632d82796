"""Run one group of steps; print a line of JSON for each."""

from __future__ import annotations

import importlib
import json
import sys
import tempfile
import time
import traceback
from pathlib import Path

from huggingface_hub import HfApi

from tests.hub_server.contract.groups import steps
from tests.hub_server.contract.world import World


def main(group: str) -> None:
    module = importlib.import_module(f"tests.hub_server.contract.{group}")
    with tempfile.TemporaryDirectory() as folder:
        world = World(HfApi(), Path(folder))
        try:
            for name in steps(group):
                start, problem = time.perf_counter(), None
                try:
                    getattr(module, name)(world)
                except BaseException:
                    problem = traceback.format_exc()
                seconds = round(time.perf_counter() - start, 3)
                print("STEP " + json.dumps({"name": name, "problem": problem, "seconds": seconds}), flush=True)
        finally:
            world.clean()


if __name__ == "__main__":
    main(sys.argv[1])
