"""The parts of `make prove faults`, and how far each has come.

Every trial is a line of tests/proofs/faults/PART.jsonl, written when it is over; tests/proofs/faults.json counts them.
A part goes on where it was stopped, and tries again what was missed by another commit: a number's last line counts.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from tests import damaged_files
from tests.damaged_files import Trial
from tests.faults import calls, kills, releases

PROOFS = Path(__file__).parents[1] / "proofs"


class Part(NamedTuple):
    """Trials by number, of which a proof wants so many."""

    what: str
    wanted: int
    trials: Callable[[Path, Sequence[int]], Iterator[Trial]]


PARTS = {
    "damaged files": Part(
        "a file of a store is damaged and then used: found before use, or proved harmless (tests/damaged_files.py)",
        1000,
        damaged_files.trials,
    ),
    "kills": Part(
        "a run is killed in a step, at a moment uniform over the step's duration, and run again: the bytes of an "
        "undisturbed run (tests/faults/kills.py)",
        kills.WANTED,
        kills.trials,
    ),
    "calls": Part(
        "forty questions to a server that fails: every key once, with the answer or the reason (tests/faults/calls.py)",
        calls.WANTED,
        calls.trials,
    ),
    "releases": Part(
        "a release is changed and reproduced, attested, traced or loaded, or a run's records and reported: a verdict, "
        "or an error that says what is wrong (tests/faults/releases.py)",
        releases.WANTED,
        releases.trials,
    ),
}


def prove(names: Sequence[str], machine: dict[str, Any]) -> int:
    """Go on with the parts of these names, until LIDR_PROVE_SECONDS are over; 1 where something was missed.

    Args:
        names: of PARTS.
        machine: what it runs on.
    """
    until = time.monotonic() + float(os.environ.get("LIDR_PROVE_SECONDS", "inf"))
    for name in names:
        left = _left(name)
        if left:
            with tempfile.TemporaryDirectory() as folder, closing(PARTS[name].trials(Path(folder), left)) as trials:
                _write(name, left, trials, until)
        summary = _summarise(machine)
    return int(any(part["missed"] for part in summary["parts"].values()))


def _left(name: str) -> list[int]:
    """Numbers that have no line yet, and those that another commit missed."""
    part, last = PARTS[name], {line["number"]: line for line in _lines(name)}
    if not last and _written().get(name, {}).get("done", 0) >= part.wanted:
        return []  # done before there were lines
    commit = commit_now()
    again = {number for number, line in last.items() if line["outcome"] == "missed" and line["commit"] != commit}
    return [number for number in range(part.wanted) if number in again or number not in last]


def _write(name: str, numbers: Sequence[int], trials: Iterator[Trial], until: float) -> None:
    began = time.monotonic()
    path = _file(name)
    path.parent.mkdir(exist_ok=True)
    for number, trial in zip(numbers, trials, strict=False):
        now = time.monotonic()
        line = {"number": number, **trial._asdict(), "seconds": round(now - began, 2), "commit": commit_now()}
        began = now
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
        if trial.outcome == "missed" or number % 100 == 99:
            print(f"{name}: {number + 1:,} of {PARTS[name].wanted:,}: {' | '.join(trial)}", flush=True)
        if now > until:
            break


def _summarise(machine: dict[str, Any]) -> dict[str, Any]:
    """Count all lines into faults.json."""
    kept = _written()
    for name, part in PARTS.items():
        if lines := _lines(name):
            kept[name] = {"what": part.what, **_counted(lines)}
    whole = {
        "proof": "faults",
        "parts": {name: kept[name] for name in PARTS if name in kept},
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine,
    }
    temporary = PROOFS / ".faults.json.partial"
    temporary.write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")
    temporary.replace(PROOFS / "faults.json")
    return whole


def _counted(lines: list[dict[str, Any]]) -> dict[str, Any]:
    last = {line["number"]: line for line in lines}
    outcomes: dict[str, dict[str, int]] = {}
    commits: dict[str, int] = {}
    for line in last.values():
        counts = outcomes.setdefault(line["kind"], {})
        counts[line["outcome"]] = counts.get(line["outcome"], 0) + 1
        commits[line["commit"]] = commits.get(line["commit"], 0) + 1
    missed = [line for line in last.values() if line["outcome"] == "missed"]
    mended = {line["number"] for line in lines if line["outcome"] == "missed"} - {line["number"] for line in missed}
    return {
        "done": len(last),
        "outcomes": outcomes,
        "missed": [[line[name] for name in Trial._fields] for line in missed],
        "missed at first, and mended since": len(mended),
        "commits": commits,
        "seconds": round(sum(line["seconds"] for line in lines)),
    }


def _file(name: str) -> Path:
    return PROOFS / "faults" / f"{name.replace(' ', '_')}.jsonl"


def _lines(name: str) -> list[dict[str, Any]]:
    """What is written of a part; a torn last line was no trial."""
    if not _file(name).is_file():
        return []
    return [json.loads(line) for line in _file(name).read_text(encoding="utf-8").splitlines() if line.endswith("}")]


def _written() -> dict[str, Any]:
    path = PROOFS / "faults.json"
    parts: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["parts"] if path.is_file() else {}
    return parts


@cache
def commit_now() -> str:
    """The commit of the code as this process has read it."""
    return _git("rev-parse", "HEAD") + ("" if not _git("status", "--porcelain", "lidr") else " and changes")


def lidr_commit() -> str:
    """The commit that last changed lidr itself."""
    return _git("log", "-1", "--format=%H", "--", "lidr") + (
        "" if not _git("status", "--porcelain", "lidr") else " and changes"
    )


def _git(*words: str) -> str:
    return subprocess.run(["git", *words], capture_output=True, text=True, check=True).stdout.strip()
