"""`make prove methods`: every method in every world; goes on where it was stopped.

    python -m tests.prove methods                     all cells that are not there yet
    python -m tests.prove methods:skewed-1            those of a world
    python -m tests.prove methods:skewed-1/croco      one

A cell is written to tests/proofs/methods.json when it is finished, with machine and commit, and then stays: take it out
of the file to have it made again. docs/methods.md and its picture are written from that file (method_table.py).
LIDR_PROVE_SECONDS begins no further cell after so many seconds.
"""

from __future__ import annotations

import json
import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.faults.parts import commit_now
from tests.methods.cells import CELLS, HELD_OUT, ITERATIONS, METHODS, PROMPTS, N, cell
from tests.methods.method_table import write

FILE = Path(__file__).parents[1] / "proofs" / "methods.json"


def prove(name: str, machine: dict[str, Any]) -> int:
    """Make what is left of the named cells; 1 where lidr ended one."""
    until = time.monotonic() + float(os.environ.get("LIDR_PROVE_SECONDS", "inf"))
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    wanted = name.partition(":")[2]
    chosen = [one for one in CELLS if "/".join(one).startswith(wanted)]
    if not chosen:
        raise SystemExit(f"methods: no cell {wanted}; a world, or a world and a method: skewed-1/{'|'.join(METHODS)}")
    for world, method in chosen:
        if f"{world}/{method}" in read()["cells"] or time.monotonic() > until:
            continue
        began = time.monotonic()
        found = cell(world, method)
        facts = {
            "seconds": round(time.monotonic() - began),
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        _keep(f"{world}/{method}", {**found, **facts, "commit": commit_now(), "machine": machine})
        write()
    return int(any("ended" in one for one in read()["cells"].values()))


def read() -> dict[str, Any]:
    """What was written so far."""
    if not FILE.is_file():
        settings = {"n": N, "prompts": PROMPTS, "held_out": HELD_OUT, "iterations": ITERATIONS}
        return {"proof": "methods", "settings": settings, "cells": {}}
    found: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    return found


def _keep(name: str, found: dict[str, Any]) -> None:
    print(f"{name}: {found}", flush=True)
    whole = read()
    cells = {**whole["cells"], name: found}
    whole["cells"] = {one: cells[one] for one in map("/".join, CELLS) if one in cells}
    partial = FILE.with_suffix(".partial")
    partial.write_text(json.dumps(whole, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    partial.replace(FILE)
