"""Pins then and now: what a refresh of the lock changed, and what a Hub says today of what was locked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lidr.errors import HubError
from lidr.hub.client import Target
from lidr.hub.pins import resolve
from lidr.hub.snapshot import Entry, content_digest, listed, listing
from lidr.store import Content, read_contents, read_lock


@dataclass(frozen=True)
class Change:
    """What refreshing a pin changed.

    Args:
        old, new: commits; None where there was none.
        files: the files that differ, each with + (new), - (gone) or ~ (other content) before it; None where the Hub
            does not say any more what the old commit held.
    """

    repo: str
    requested: str | None
    old: str | None
    new: str
    files: tuple[str, ...] | None = ()


def changes(before: Mapping[str, str], version_folder: Path) -> list[Change]:
    """What stands in the lock now, against what stood there before."""
    contents = read_contents(version_folder)
    found = []
    for repo, new in read_lock(version_folder).items():
        old, content = before.get(repo), contents.get(f"{repo}@{new}")
        files = () if old in (None, new) else _differing(repo, str(old), new)
        found.append(Change(repo, content.requested if content else None, old, new, files))
    return found


def _differing(repo: str, old: str, new: str) -> tuple[str, ...] | None:
    try:
        was, now = _by_path(listing(repo, old)), _by_path(listing(repo, new))
    except HubError:
        return None
    marks = [(path, "-" if path not in now else "+" if path not in was else "~") for path in sorted({*was, *now})]
    return tuple(f"{mark}{path}" for path, mark in marks if was.get(path) != now.get(path))


def _by_path(entries: tuple[Entry, ...]) -> dict[str, str]:
    return {entry.path: entry.content_id for entry in entries}


def mended(before: Mapping[str, Content], version_folder: Path) -> dict[str, tuple[str, str]]:
    """`org/name@commit` -> the digest that stood in the lock and the one that stands there now, where they differ."""
    now = read_contents(version_folder)
    return {
        name: (old.digest, now[name].digest)
        for name, old in before.items()
        if name in now and now[name].digest != old.digest
    }


def unconfirmed(contents: Mapping[str, Content]) -> list[str]:
    """What the Hub does not say as the lock does: one line for each commit with another content, or that is gone.

    Raises:
        HubError: it cannot be asked.
    """
    from huggingface_hub.errors import RevisionNotFoundError

    lines = []
    for name, content in contents.items():
        try:
            now = content_digest(listed(*name.split("@")))
        except HubError as error:
            if not isinstance(error.__cause__, RevisionNotFoundError):
                raise
            lines.append(f"{name}: the Hub has no such commit any more")
            continue
        if now != content.digest:
            lines.append(f"{name}: its content was locked as {content.digest[:12]}, and the Hub lists {now[:12]}")
    return lines


def moved(contents: Mapping[str, Content], *, target: Target | None = None) -> list[str]:
    """What a Hub says now of the tags and branches that were locked: one line for each that moved or is gone.

    Raises:
        HubError: it cannot be asked.
    """
    from huggingface_hub.errors import RevisionNotFoundError

    lines = []
    for name, content in contents.items():
        repo, _, sha = name.partition("@")
        if content.requested is None:
            continue
        try:
            now = resolve(repo, content.requested, target=target)
        except HubError as error:
            if not isinstance(error.__cause__, RevisionNotFoundError):
                raise
            lines.append(f"{repo}: {content.requested} is gone; it was {sha} when it was locked")
            continue
        if now != sha:
            lines.append(f"{repo}: {content.requested} was {sha} when it was locked and is {now} now: it was moved")
    return lines
