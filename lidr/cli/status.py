"""`lidr status RECIPE`: how far a run is, from another terminal. It reads small files and disturbs nothing."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lidr.report as report
from lidr import pipeline
from lidr.cli.common import duration, print_json, print_table, read_recipe, recipe_arguments
from lidr.cli.terminal import printable
from lidr.worker import is_alive

if TYPE_CHECKING:
    from lidr.store import Store


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    recipe_arguments(parser)


def main(options: argparse.Namespace) -> int:
    """Print the state of every step, and the progress of the one at work."""
    from lidr.store import partial_folder, read_record

    recipe = read_recipe(options)
    planned = pipeline.plan(recipe)
    rows: list[dict[str, Any]] = []
    for step in planned.steps:
        progress = read_progress(partial_folder(planned.folder(step)) / "progress.json", planned.store)
        state = "running" if progress and progress["alive"] else step.state
        rows.append({"place": step.place, "state": state, "progress": progress})
    if options.json:
        print_json("lidr.status/1", {"recipe": recipe.name, "version": recipe.version, "steps": rows})
    else:
        print(f"{recipe.name} {recipe.version} in {planned.version_folder}\n")
        names = {step.place: step.said for step in planned.steps if step.rules}
        cells = [_cells({**row, "state": names.get(row["place"], row["state"])}) for row in rows]
        print_table(("step", "state", "done", "speed", "left"), cells, left=2, states=1)
        made = [read_record(planned.folder(step)) for step in planned.steps if step.state in pipeline.KEPT]
        for said in report.kept_lines(recipe, [record for record in made if record is not None]):
            print(f"\n{said}")
        states = {row["state"] for row in rows}
        if (
            states - {*pipeline.NOTHING_TO_DO}
            and "running" not in states
            and (why := pipeline.how_it_ended(planned)) is not None
        ):
            print(printable(f"\n{why}"))
    return 0


def read_progress(path: Path, store: Store) -> dict[str, Any] | None:
    """What a running or interrupted step last wrote, and whether its process is still at work: it lives and holds the
    store; None: it cannot be seen.
    """
    try:
        progress: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        age_s = max(0.0, time.time() - path.stat().st_mtime)
    except (FileNotFoundError, ValueError, RecursionError):
        return None
    alive = is_alive(progress)
    if alive and (store.holder or {}).get("pid") != progress["pid"]:
        alive = False  # of a notebook: it goes on to live after the run
    if progress["remaining_s"] is not None:
        left = progress["remaining_s"] - age_s
        progress["remaining_s"] = round(left, 1) if left > 0 else None  # longer than was thought, nobody knows how long
    return {**progress, "alive": alive}


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    progress = row["progress"]
    if progress is None:
        return row["place"], row["state"], "-", "-", "-"
    left = progress["remaining_s"]
    return (
        row["place"],
        row["state"],
        f"{progress['done']:,} of {progress['total']:,} {progress['unit']}",
        _speed(progress) if progress["alive"] else "-",
        duration(left) if left is not None and progress["alive"] else "-",
    )


def _speed(progress: dict[str, Any]) -> str:
    """Units a second in this try, or how long a server has been silent, and of several replicas how many are ready."""
    found = []
    if since := progress.get("silent_since"):
        found.append(f"no answer for {duration(max(0.0, time.time() - since))}")
    if progress.get("per_s"):
        found.append(f"{progress['per_s']:,.3g}/s")
    if replicas := progress.get("replicas"):
        found.append("{} of {} replicas".format(*replicas))
    return ", ".join(found) or "-"
