"""What a second process does with a judge or its cache: `python -m tests.evals.judge.another_process TASK.json`."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from lidr.evals.judge import Comparison, JudgeSettings, judge
from lidr.evals.judge.judge_cache import Cache


def judge_all(task: dict[str, Any]) -> None:
    """Judge, and print the verdicts."""
    asked = [Comparison(**one) for one in task["comparisons"]]
    verdicts = judge(asked, JudgeSettings(**task["settings"]))
    print(json.dumps([verdict.as_json() for verdict in verdicts]))


def claim_and_hang(task: dict[str, Any]) -> None:
    """Claim questions, say so, and never answer them."""
    with Cache(Path(task["cache"]), lease_s=task["lease_s"]) as cache, cache.keeping_claims():
        print(json.dumps([cache.claim(key).state for key in task["keys"]]), flush=True)
        time.sleep(600)


if __name__ == "__main__":
    task = json.loads(Path(sys.argv[1]).read_text())
    claim_and_hang(task) if "keys" in task else judge_all(task)
