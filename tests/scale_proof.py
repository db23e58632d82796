"""`make prove scale`: each step's memory at 100,000 and 1,000,000 rows, for hours; it goes on where it was stopped.

Every measured step is a line of tests/proofs/scale.jsonl; tests/proofs/scale.json has the slopes. What the steps made
lies in `lidr-scale` of the folder for temporary files until all are measured: some 3 kB a row. Another commit begins
anew.

LIDR_PROVE_ROWS=20000,100000 measures at other sizes.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.benchmarks.memory import GOAL_BYTES, peaks, write_world
from tests.faults.parts import commit_now

PROOFS = Path(__file__).parent / "proofs"


def prove(machine: dict[str, Any]) -> int:
    """Measure what is not measured yet, and write what it comes to; 0 where every step keeps to the goal."""
    few, many = (int(word) for word in os.environ.get("LIDR_PROVE_ROWS", "100000,1000000").split(","))
    commit = commit_now()
    lines = PROOFS / "scale.jsonl"
    work = Path(tempfile.gettempdir()) / "lidr-scale" / str(commit)
    for rows in (few, many):
        folder = work / str(rows)
        if not (folder / "recipe.yaml").exists():
            shutil.rmtree(folder, ignore_errors=True)
            write_world(folder, rows)
        for step, peak in peaks(folder / "recipe.yaml", skip=_measured(lines, commit, rows)):
            line = {"rows": rows, "step": step, **peak._asdict(), "commit": commit}
            with lines.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
            print(f"{rows:,} rows, {step}: {peak.bytes / 1e6:,.0f} MB, {peak.seconds:,.0f} s", flush=True)
    fewer, more = (_measured(lines, commit, rows) for rows in (few, many))
    steps = {
        step: {
            "peak_bytes": [fewer[step]["bytes"], more[step]["bytes"]],
            "seconds": [round(fewer[step]["seconds"]), round(more[step]["seconds"])],
            "bytes_per_further_row": round((more[step]["bytes"] - fewer[step]["bytes"]) / (many - few), 1),
        }
        for step in fewer
    }
    failed = [step for step, found in steps.items() if found["bytes_per_further_row"] > GOAL_BYTES]
    result = {
        "proof": "scale",
        "what": f"the process that runs a step takes at most {GOAL_BYTES} bytes for each further row of 200 characters",
        "rows": [few, many],
        "steps": steps,
        "failed": failed,
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit,
        "machine": machine,
    }
    (PROOFS / "scale.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    shutil.rmtree(work)
    return int(bool(failed))


def _measured(lines: Path, commit: str | None, rows: int) -> dict[str, dict[str, Any]]:
    """Step -> what this commit took for so many rows, in the order in which they were measured."""
    if not lines.exists():
        return {}
    found = map(json.loads, lines.read_text(encoding="utf-8").splitlines())
    return {one["step"]: one for one in found if (one["commit"], one["rows"]) == (commit, rows)}
