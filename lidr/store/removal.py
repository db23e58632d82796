"""What of a run can go, and what others need of it: a release that was published, another run's artifacts.

What is needed keeps what it was made from: a release whose pairs are there and whose answers are gone traces no row.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from lidr.errors import StoreError
from lidr.store.record import Record
from lidr.store.sealed_json import write_json
from lidr.store.store import Store, discard

PUBLISHED_FILE = "published.json"
"""In a version's folder: where `lidr publish` has sent it. The step `publish` has a record of its own."""

_RUN = re.compile(r"run:([A-Za-z0-9][\w.-]*)(?:@([^/\s\"]+))?(?:/iter_(\d+)/([a-z_]+))?")


@dataclass(frozen=True)
class Removal:
    """What would be done to one version of a run.

    Args:
        folder: of the version.
        kept: place -> why it stays.
        gone: artifacts and unfinished tries that go, in the order of their removal.
        size: bytes that this frees: of files that no other folder shares.
        is_whole: nothing stays.
    """

    folder: Path
    kept: dict[str, str]
    gone: tuple[Path, ...]
    size: int
    is_whole: bool


def removal_of(store: Store, recipe: str, version: str) -> Removal:
    """What of a version can go.

    Raises:
        StoreError: there is no such version, or a record of the store cannot be read, so nobody can say what is needed.
    """
    folder = store.version_folder(recipe, version)
    if not folder.is_dir():
        have = ", ".join(store.versions(recipe)) or "none"
        raise StoreError(f"{recipe}@{version}: the store {store.root} has no such run; versions of {recipe}: {have}")
    records = {record.place: record for _, record in store.records_of(recipe, version)}
    kept = _with_what_made_them(records, {**_published(folder, records), **_needed_elsewhere(store, recipe, version)})
    places = [path for path in sorted(folder.glob("iter_*/*"), reverse=True) if path.is_dir()]
    gone = tuple(path for path in places if f"{path.parent.name}/{path.name}" not in kept)
    is_whole = not kept
    return Removal(folder, kept, gone, sum(map(_freed, [folder] if is_whole else gone)), is_whole)


def remove(removal: Removal) -> None:
    """Do it: the last first, so that what a kill leaves still fits what it was made from."""
    for path in removal.gone:
        discard(path.with_name(path.name.removesuffix(".partial")) if path.name.endswith(".partial") else path)
    if removal.is_whole:
        shutil.rmtree(removal.folder)
        if not any(removal.folder.parent.iterdir()):
            removal.folder.parent.rmdir()


def _published(folder: Path, records: dict[str, Record]) -> dict[str, str]:
    found = {}
    for place, record in records.items():
        if record.writes == "release":
            sent = [str(one.get("repo")) for one in record.counts.get("published", ()) if isinstance(one, dict)]
            found[place] = f"published as {', '.join(sent) or 'a release'}"
    repos = published_by_hand(folder)
    return found | (dict.fromkeys(records, f"published as {', '.join(repos)}") if repos else {})


def published_by_hand(folder: Path) -> list[str]:
    """The repositories that `lidr publish` has sent this version to."""
    try:
        repos = json.loads((folder / PUBLISHED_FILE).read_text(encoding="utf-8"))["repositories"]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return ["a release (the file that names it cannot be read)"]
    return [str(repo) for repo in repos]


def note_published(folder: Path, repos: Iterable[str]) -> None:
    """Remember where `lidr publish` has sent a version."""
    known = dict.fromkeys([*published_by_hand(folder), *repos])
    write_json(folder / PUBLISHED_FILE, {"schema": 1, "repositories": list(known)}, only_changes=True)


def _needed_elsewhere(store: Store, recipe: str, version: str) -> dict[str, str]:
    """Places that records of other runs name, as what they took over or started from."""
    found: dict[str, str] = {}
    mine = store.version_folder(recipe, version)
    newest = store.versions(recipe)[-1]
    own = {record.place for _, record in store.records_of(recipe, version)}
    for other, record in _others(store, mine):
        where = f"{other.parent.parent.relative_to(store.root)}/{record.place}"
        if record.reused_from is not None and record.reused_from.startswith(f"{recipe}/{version}/"):
            found.setdefault("/".join(record.reused_from.split("/")[-2:]), f"taken over by {where}")
        for name, named, iteration, step in _RUN.findall(json.dumps(asdict(record), ensure_ascii=False)):
            if name == recipe and (named or newest) == version:
                for place in [f"iter_{iteration}/{step}"] if step else sorted(own):
                    found.setdefault(place, f"named by {where}")
    return found


def _others(store: Store, mine: Path) -> Iterator[tuple[Path, Record]]:
    for recipe in store.runs():
        for version in store.versions(recipe):
            if store.version_folder(recipe, version) != mine:
                yield from store.records_of(recipe, version)


def _with_what_made_them(records: dict[str, Record], needed: dict[str, str]) -> dict[str, str]:
    """What is needed, and every artifact that it was made from, directly or not."""
    kept, todo = dict(needed), list(needed)
    while todo:
        place = todo.pop()
        for source in records[place].inputs.values() if place in records else ():
            if source["place"] not in kept:
                kept[source["place"]] = f"{place} was made from it"
                todo.append(source["place"])
    return {place: why for place, why in kept.items() if place in records}


def _freed(folder: Path) -> int:
    files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    return sum(status.st_size for status in (path.stat() for path in files) if status.st_nlink == 1)


def stored_size(folder: Path) -> int:
    """Bytes of all files below a folder; those that another folder shares are counted here too."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def is_unfinished(folder: Path) -> bool:
    """Whether a version holds a try that was begun and is not complete."""
    return any(True for _ in folder.glob("iter_*/*.partial"))
