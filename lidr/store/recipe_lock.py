"""recipe.lock.json: what a recipe's Hub references were resolved to, beside the run's artifacts.

{"schema": 2,
 "models": {"org/name": "5f0b02c75b57c5855da9ae460ce51323ea669d8a", "datasets/org/name": "..."},
 "contents": {"org/name@5f0b02c7...": {"requested": "v1.0.0", "digest": "<sha256>", "files": 7}}}

`models` holds the commit of what the recipe leaves unpinned; `contents` holds what stands at each commit that the
recipe reads, whoever named it, so that a Hub that gives something else for the same commit is found out. Schema 1 had
no contents and is still read. The last field is a checksum of all the rest (lidr/store/sealed_json.py); a lock of an
earlier lidr has none.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lidr.errors import StoreError
from lidr.store.sealed_json import unsealed, write_json

LOCK_FILE = "recipe.lock.json"
LOCK_SCHEMA = 2


@dataclass(frozen=True)
class Content:
    """What stands at a commit.

    Args:
        requested: the branch or tag that was resolved; None: the main branch, or the recipe named the commit.
        digest: over every file but the card, 64 hex digits; see `lidr.hub.snapshot.content_digest`.
        files: how many files that are.
    """

    requested: str | None
    digest: str
    files: int


@dataclass(frozen=True)
class Lock:
    """What a lock says.

    Args:
        commits: repository -> commit, 40 hex digits, of what the recipe leaves unpinned.
        contents: `org/name@commit` -> what stands there.
    """

    commits: dict[str, str]
    contents: dict[str, Content]

    def digest_of(self, repo: str, commit: str) -> str | None:
        """What it says of the content of a commit; None where it says nothing."""
        found = self.contents.get(f"{repo}@{commit}")
        return found.digest if found else None


def read_whole_lock(version_folder: Path) -> Lock:
    """Commits and contents, read once; both empty when nothing is locked.

    Raises:
        StoreError: the file is damaged, or from a newer lidr.
    """
    path = version_folder / LOCK_FILE
    content = _read(path)
    return Lock(_commits(content, path), _contents(content, path))


def read_lock(version_folder: Path) -> dict[str, str]:
    """Repository -> commit, 40 hex digits; empty when nothing is locked.

    Raises:
        StoreError: the file is damaged, or from a newer lidr.
    """
    path = version_folder / LOCK_FILE
    return _commits(_read(path), path)


def read_contents(version_folder: Path) -> dict[str, Content]:
    """`org/name@commit` -> what stands there; empty for a lock of schema 1.

    Raises:
        StoreError: the file is damaged, or from a newer lidr.
    """
    path = version_folder / LOCK_FILE
    return _contents(_read(path), path)


def write_lock(version_folder: Path, models: dict[str, str], contents: Mapping[str, Content] | None = None) -> Path:
    """Write the commits, and what stands there (None: as before); the file is there whole or not at all."""
    version_folder.mkdir(parents=True, exist_ok=True)
    kept = read_contents(version_folder) if contents is None else contents
    content = {
        "schema": LOCK_SCHEMA,
        "models": dict(sorted(models.items())),
        "contents": {name: asdict(found) for name, found in sorted(kept.items())},
    }
    write_json(version_folder / LOCK_FILE, content, sealed=True)
    return version_folder / LOCK_FILE


def _commits(content: Mapping[str, Any], path: Path) -> dict[str, str]:
    found = content.get("models", {})
    if not isinstance(found, dict) or not all(isinstance(sha, str) for sha in found.values()):
        raise _damaged(path)
    return found


def _contents(content: Mapping[str, Any], path: Path) -> dict[str, Content]:
    found = content.get("contents", {})
    try:
        contents = {name: Content(**entry) for name, entry in found.items()}
    except (TypeError, AttributeError):
        raise _damaged(path) from None
    if not all(_is_content(content) for content in contents.values()):
        raise _damaged(path)
    return contents


def _is_content(found: Content) -> bool:
    return isinstance(found.requested, str | None) and isinstance(found.digest, str) and isinstance(found.files, int)


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (ValueError, RecursionError, IsADirectoryError):
        content = None
    if not isinstance(content, dict):
        raise _damaged(path)
    if content.get("schema") not in (1, LOCK_SCHEMA):
        raise StoreError(f"{path}: schema {content.get('schema')}, this lidr reads 1 to {LOCK_SCHEMA}: update lidr")
    try:
        return unsealed(content)
    except ValueError as error:
        raise StoreError(
            f"{path}: {error}. Put it back as it was, or remove it and run `lidr lock RECIPE` again; if you changed it "
            "on purpose, take its `checksum` out"
        ) from None


def _damaged(path: Path) -> StoreError:
    return StoreError(f"{path}: damaged, no lock as lidr writes it; remove it and run `lidr lock RECIPE` again")
