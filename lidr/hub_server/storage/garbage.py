"""Removes what nothing refers to any more: commits that no ref reaches, contents that no commit names."""

from __future__ import annotations

import shutil
import time
from typing import NamedTuple

from lidr.hub_server.storage import disk
from lidr.hub_server.storage.history import Repository, forget_commits
from lidr.hub_server.storage.names import REPO_TYPES
from lidr.hub_server.storage.storage import Storage

GRACE_S = 24 * 3600.0
"""An upload may wait that long for the commit that names it."""


class Collected(NamedTuple):
    """How much was removed."""

    commits: int
    objects: int
    bytes: int


def remove_unfinished(storage: Storage) -> None:
    """Remove what a killed server left half-written. Only while no other process serves the root."""
    for path in storage.root.glob(f"**/{disk.TEMPORARY}*"):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def collect(storage: Storage, *, grace_s: float = GRACE_S) -> Collected:
    """Remove unreferenced commits and contents that are older than the grace; nothing changes meanwhile."""
    oldest = time.time() - grace_s
    commits = objects = size = 0
    with storage.changing:
        wanted: set[str] = set()
        for type_ in REPO_TYPES:
            for repository in storage.repositories(type_):
                removed, named = _collect_commits(repository, oldest)
                commits += removed
                wanted |= named
        for path in storage.objects.all():
            status = path.stat()
            if path.name not in wanted and status.st_mtime <= oldest and not path.name.startswith(disk.TEMPORARY):
                path.unlink()
                objects, size = objects + 1, size + status.st_size
    forget_commits()
    return Collected(commits, objects, size)


def _collect_commits(repository: Repository, oldest: float) -> tuple[int, set[str]]:
    """Remove a repository's unreachable commits; returns their number and the contents that the others name."""
    refs = repository.refs()
    heads = [*refs["branches"].values(), *(tag["target"] for tag in refs["tags"].values()), *refs["pulls"].values()]
    reachable = {commit.sha for head in set(heads) for commit in repository.log(head)}
    removed, wanted = 0, set()
    for path in (repository.folder / "commits").iterdir():
        if path.name.startswith(disk.TEMPORARY):
            continue
        if path.name not in reachable and path.stat().st_mtime <= oldest:
            path.unlink()
            removed += 1
        else:
            wanted |= {file["sha256"] for file in repository.commit(path.name).files.values()}
    return removed, wanted
