"""The long proofs: `make prove`. Runs a set of tests in their long form and writes what happened to tests/proofs/.

python -m tests.prove hub        a hundred kills of server and client, a thousand publishes under random faults
python -m tests.prove reproduce  the quickstart, published and made again from nothing but its Hub
python -m tests.prove mutants    small changes of core code, one at a time: each must fail a test; goes on where it was
python -m tests.prove miniature  the method's gain on a policy of a million parameters: seeds, controls, worlds, guards
python -m tests.prove gpu        the script for a card, where there is none
python -m tests.prove families   thirty current families through the whole chain and vLLM; goes on where it was
python -m tests.prove methods    seven methods in five worlds of the miniature, a table; goes on where it was
python -m tests.prove real_policy  a real 135M policy, its controls, 200 prompts: intervals; goes on where it was
python -m tests.prove replicas   answers on a real Ray cluster: killed replicas, lost and joining nodes
python -m tests.prove scale      each step's memory at 100,000 and 1,000,000 rows, and half an hour of replicas that
                                 die at random (`scale:memory`, `scale:soak`); goes on where it was
python -m tests.prove faults     damaged files, killed runs, failing servers, changed releases; goes on where it was

`make prove` runs all, `make prove faults` one, `python -m tests.prove faults:kills` one part of it (tests/faults).
`python -m tests.prove families:qwen3` walks one family, `families:vLLM` all of them through vLLM alone;
`methods:skewed-1/croco` makes one cell of the table (tests/methods/method_proof.py), `real_policy:sft` one arm
(tests/methods/real_policy_proof.py).
LIDR_PROVE_SECONDS ends a part of `faults`, `families` and `methods` between two cells, and `real_policy` between two
arms, after so many seconds; it is the time of `scale:soak`.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests import scale_proof, soak_proof
from tests.families import family_proof
from tests.faults import parts
from tests.methods import method_proof, real_policy_proof

FOLDER = Path(__file__).parent / "proofs"
PROOFS: dict[str, dict[str, Any]] = {
    "hub": {
        "what": "every publish under random faults lands once or says what to do; killed at any moment, the repository "
        "is as before or as after",
        "environment": {"LIDR_PROVE": "1", "LIDR_PROVE_KILLS": "100", "LIDR_PROVE_PUBLISHES": "1000"},
        "tests": [
            "tests/hub_server/test_durability.py",
            "tests/hub_server/test_bounds.py",
            "tests/release/test_publish_staged.py",
        ],
    },
    "reproduce": {
        "what": "the quickstart, published to an embedded Hub, comes out the same from nothing but that Hub; so do a "
        "tiny model's run of two iterations and the miniature in its smallest form, evaluations included",
        "environment": {"LIDR_PROVE": "1"},
        "tests": [f"tests/reproduce/test_{name}.py" for name in ("release", "miniature", "quickstart")],
    },
    "mutants": {
        "what": "of at least two hundred small changes of core code, drawn by a seed, every one fails a fast test or "
        "is explained (results, one a line: mutants.jsonl; explained: mutants.explained.json)",
        "environment": {"LIDR_PROVE": "1"},
        "tests": ["tests/mutants/test_mutants.py"],
    },
    "replicas": {
        "what": "answers by replicas on a real Ray cluster of simulated nodes: killed replicas, lost and joining nodes "
        "lose and double nothing, and the texts are those of one process; two and three processes train the policy of "
        "one",
        "environment": {"LIDR_PROVE": "1"},
        "tests": [
            "tests/engines/replicas",
            "tests/test_run_on_replicas.py",
            "tests/test_steps_on_replicas.py",
            "tests/train/test_processes.py",
        ],
    },
    "gpu": {
        "what": "the script that measures on a card gives each of its numbers, with tiny models, where there is none",
        "environment": {"LIDR_PROVE": "1"},
        "tests": ["tests/gpu"],
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
        "commit": parts.commit_now(),
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


def _parts(name: str) -> list[str]:
    """All parts of `faults`, or the one that `faults:PART` names."""
    return [name.partition(":")[2]] if ":" in name else [*parts.PARTS]


def _run(name: str) -> int:
    if name.startswith("families"):
        return family_proof.prove(name.partition(":")[2], machine())
    if name.startswith("methods"):
        return method_proof.prove(name, machine())
    if name.startswith("real_policy"):
        return real_policy_proof.prove(name, machine())
    if name.startswith("scale"):
        proofs = {"memory": scale_proof.prove, "soak": soak_proof.prove}
        wanted = [proofs[name.partition(":")[2]]] if ":" in name else [*proofs.values()]
        return max(prove_scale(machine()) for prove_scale in wanted)
    return parts.prove(_parts(name), machine()) if name.startswith("faults") else prove(name)


if __name__ == "__main__":
    named = sys.argv[1:] or [*PROOFS, "families", "methods", "real_policy", "faults", "scale"]
    sys.exit(max(_run(name) for name in named))
