"""The long proofs: `make prove`. Runs a set of tests in their long form and writes what happened to tests/proofs/.

python -m tests.prove hub        a hundred kills of server and client, a thousand publishes under random faults
python -m tests.prove reproduce  the quickstart, published and made again from nothing but its Hub
python -m tests.prove miniature  the method's gain on a policy of a million parameters: seeds, controls, worlds, guards
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import pytest

FOLDER = Path(__file__).parent / "proofs"
PROOFS: dict[str, dict[str, Any]] = {
    "hub": {
        "what": "every publish under random faults lands once or says what to do; killed at any moment, the repository "
        "is as before or as after",
        "environment": {"LIDR_PROVE": "1", "LIDR_PROVE_KILLS": "100", "LIDR_PROVE_PUBLISHES": "1000"},
        "tests": ["tests/hub_server/test_durability.py", "tests/release/test_publish_staged.py"],
    },
    "reproduce": {
        "what": "the quickstart, published to an embedded Hub, comes out the same from nothing but that Hub; so do a "
        "tiny model's run of two iterations and the miniature in its smallest form, evaluations included",
        "environment": {"LIDR_PROVE": "1"},
        "tests": [f"tests/reproduce/test_{name}.py" for name in ("release", "miniature", "quickstart")],
    },
    "miniature": {
        "what": "recipes/miniature.yaml gains where the policy is poor, over three seeds; its controls do not; reward "
        "accuracy before training goes with the gain over eight worlds; five iterations saturate; each signature is "
        "provoked and its gate fires (numbers: miniature.numbers.json)",
        "environment": {"LIDR_PROVE": "1"},
        "tests": ["tests/miniature/test_proof.py"],
    },
}


class Outcomes:
    """Counts the tests by outcome, and keeps the names of those that failed."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.failed: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or (report.when == "setup" and report.outcome != "passed"):
            self.counts[report.outcome] = self.counts.get(report.outcome, 0) + 1
            if report.failed:
                self.failed.append(report.nodeid)


def prove(name: str) -> int:
    proof = PROOFS[name]
    os.environ.update(proof["environment"])
    outcomes, began = Outcomes(), time.monotonic()
    status = int(pytest.main([*proof["tests"], "--durations=5"], plugins=[outcomes]))
    result = {
        "proof": name,
        "what": proof["what"],
        "settings": proof["environment"],
        "tests": outcomes.counts,
        "failed": outcomes.failed,
        "seconds": round(time.monotonic() - began),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _git("rev-parse", "HEAD") + ("" if not _git("status", "--porcelain", "lidr") else " and changes"),
        "machine": machine(),
    }
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return status


def machine() -> dict[str, Any]:
    """What it ran on, without its name."""
    return {
        "system": platform.system(),
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "python": platform.python_version(),
    }


def _git(*words: str) -> str:
    return subprocess.run(["git", *words], capture_output=True, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    sys.exit(max(prove(name) for name in sys.argv[1:] or PROOFS))
