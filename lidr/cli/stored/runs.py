"""`lidr runs`: what the store holds: each run with its state, its size and where it was published."""

from __future__ import annotations

import argparse
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lidr.cli.common import kept_recipe, print_json, print_table, say, size_said, store_argument
from lidr.cli.status import read_progress
from lidr.errors import LidrError
from lidr.store import Store, find_store, published_by_hand, stored_size

_COLUMNS = ("run", "state", "steps", "size", "changed", "published")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    store_argument(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object on standard output")


def main(options: argparse.Namespace) -> int:
    """List every version of every run."""
    place = find_store()
    store = Store(place.root)
    rows = [_row(store, name, version) for name in store.runs() for version in store.versions(name)]
    if options.json:
        print_json("lidr.runs/1", {"store": str(store.root.resolve()), "runs": rows})
        return 0
    say(f"store: {store.root.resolve()} ({place.why})")
    if not rows:
        say("no run yet: lidr run RECIPE makes one; --store FOLDER or LIDR_STORE names another store")
        return 0
    print_table(_COLUMNS, [_cells(row) for row in rows], left=2, states=1)
    return 0


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    name, published = f"{row['run']}@{row['version']}", ", ".join(row["published"]) or "-"
    return name, row["state"], str(row["steps"]), size_said(row["bytes"]), row["changed"][:16], published


def _row(store: Store, name: str, version: str) -> dict[str, Any]:
    folder = store.version_folder(name, version)
    try:
        records = [record for _, record in store.records_of(name, version)]
        state = _state(store, folder)
    except LidrError:
        records, state = [], "damaged"
    published = [
        str(one["repo"]) for record in records if record.writes == "release" for one in record.counts["published"]
    ]
    last = max((path.stat().st_mtime for path in folder.glob("iter_*/*/*.json")), default=folder.stat().st_mtime)
    return {
        "run": name,
        "version": version,
        "state": state,
        "steps": len(records),
        "bytes": stored_size(folder),
        "changed": datetime.fromtimestamp(last, UTC).isoformat(timespec="seconds"),
        "published": list(dict.fromkeys([*published, *published_by_hand(folder)])),
    }


def _state(store: Store, folder: Path) -> str:
    """running: a step is at work; finished, ended: as its recipe, kept beside it, says; else not finished."""
    progress = (read_progress(path, store) for path in folder.glob("iter_*/*.partial/progress.json"))
    if any(one is not None and one["alive"] for one in progress):
        return "running"
    if not _is_read(folder / "run.json") or (recipe := kept_recipe(folder)) is None:
        return "not finished"
    from lidr.report import run_state_of

    return run_state_of(recipe, store, is_compared=False).state


def _is_read(file: Path) -> bool:
    try:
        return isinstance(json.loads(file.read_text(encoding="utf-8")), dict)
    except (OSError, ValueError, RecursionError):
        return False
