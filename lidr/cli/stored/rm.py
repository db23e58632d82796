"""`lidr rm RUN...`: remove runs from the store, but for what a published release or another run needs."""

from __future__ import annotations

import argparse
import sys
from itertools import groupby

from lidr.cli.common import print_json, say, size_said, store_argument
from lidr.errors import StoreError
from lidr.references import RunReference, parse_reference
from lidr.store import Removal, Store, find_store, removal_of, remove


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("runs", metavar="RUN", nargs="+", help="NAME@VERSION, as `lidr runs` lists them")
    store_argument(parser)
    parser.add_argument("--dry-run", action="store_true", help="show what would go and what would stay; remove nothing")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--json", action="store_true", help="print one JSON object on standard output")


def main(options: argparse.Namespace) -> int:
    """Say what goes and what stays, ask, remove."""
    store = Store(find_store().root)
    if not store.root.is_dir():
        raise StoreError(f"{store.root.resolve()}: no store there; --store FOLDER or LIDR_STORE names another")
    with store.lock("rm", say):
        removals = [removal_of(store, name, version) for name, version in map(_named, dict.fromkeys(options.runs))]
        if not options.json:
            for one in removals:
                _show(one)
        todo = [one for one in removals if one.gone or one.is_whole]
        wanted = bool(todo) and not options.dry_run and (options.yes or _asked(todo))
        for one in todo if wanted else ():
            remove(one)
    if options.json:
        print_json("lidr.rm/1", {"removed": wanted, "runs": [_as_json(one) for one in removals]})
    elif wanted:
        say("removed")
    elif options.dry_run:
        say("nothing was removed (--dry-run)")
    return 0


def _named(text: str) -> tuple[str, str]:
    reference = _reference(text if text.startswith("run:") else f"run:{text}")
    if reference is None or reference.version is None or reference.step is not None:
        raise StoreError(f'"{text}": name one version of a run, as quickstart@0.1.0; `lidr runs` lists them')
    return reference.name, reference.version


def _reference(text: str) -> RunReference | None:
    try:
        found = parse_reference(text)
    except ValueError:
        return None
    return found if isinstance(found, RunReference) else None


def _show(one: Removal) -> None:
    name = f"{one.folder.parent.name}@{one.folder.name}"
    what = "all of it" if one.is_whole else f"{len(one.gone)} artifacts and unfinished tries" if one.gone else "nothing"
    print(f"{name}: {what} can go, which frees {size_said(one.size)}")
    for path in one.gone if not one.is_whole else ():
        print(f"  goes   {path.parent.name}/{path.name}")
    for why, places in groupby(sorted(one.kept, key=lambda place: one.kept[place]), key=lambda place: one.kept[place]):
        print(f"  stays  {', '.join(places)}: {why}")


def _asked(todo: list[Removal]) -> bool:
    if not sys.stdin.isatty():
        raise StoreError("rm asks before it removes, and there is no terminal to answer: add --yes, or --dry-run")
    names = ", ".join(f"{one.folder.parent.name}@{one.folder.name}" for one in todo)
    print(f"Remove {names}? [y/N] ", end="", flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _as_json(one: Removal) -> dict[str, object]:
    return {
        "run": one.folder.parent.name,
        "version": one.folder.name,
        "goes": [f"{path.parent.name}/{path.name}" for path in one.gone],
        "stays": one.kept,
        "bytes": one.size,
        "is_whole": one.is_whole,
    }
