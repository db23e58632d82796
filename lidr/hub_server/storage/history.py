"""One repository on disk: its commits, which never change, and its refs, which are replaced as a whole."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, TypedDict

from lidr.hub_server.refusal import Refusal, no_entry, no_revision
from lidr.hub_server.storage import disk, git_ids, names
from lidr.hub_server.storage.names import RepoType


class File(TypedDict):
    """A file of a commit. `oid` is git's id of the blob, of the pointer where `lfs`; `commit` last touched it."""

    oid: str
    size: int
    sha256: str
    lfs: bool
    commit: str


class Refs(TypedDict):
    """The refs of a repository: name -> commit. Tags have a message beside."""

    branches: dict[str, str]
    tags: dict[str, dict[str, str]]
    pulls: dict[str, str]


@dataclass(frozen=True)
class Commit:
    """A commit: the whole tree, and where it came from."""

    sha: str
    parent: str | None
    title: str
    message: str
    author: str
    time: int  # seconds since 1970
    files: Mapping[str, File]

    @property
    def date(self) -> str:
        """The time as the API writes it."""
        return iso(self.time)

    @cached_property
    def folders(self) -> dict[str, str]:
        """Folder -> git's id of its tree; the root is ""."""
        return git_ids.tree_ids(git_ids.summary(self.files))

    def file(self, path: str) -> File:
        """The file at a path; refused when there is none."""
        try:
            return self.files[path]
        except KeyError:
            raise no_entry(path, self.sha) from None


def iso(seconds: float) -> str:
    """A time as the API writes it.

    >>> iso(0)
    '1970-01-01T00:00:00.000Z'
    """
    return time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(seconds))


@lru_cache(maxsize=64)
def _read_commit(path: Path) -> Commit:
    raw = disk.read_json(path)
    if raw is None:
        raise no_revision(path.name)
    return Commit(**raw)


def forget_commits() -> None:
    """Read all commits from the disk again: some were removed."""
    _read_commit.cache_clear()


@dataclass(frozen=True)
class Repository:
    """One repository; every look at it reads the disk, so it is never out of date."""

    folder: Path
    type: RepoType
    id: str

    @property
    def meta(self) -> dict[str, Any]:
        """Visibility, dates and the like."""
        return disk.read_json(self.folder / "meta.json") or {}

    @property
    def is_private(self) -> bool:
        """May only the holder of the token see it?"""
        return bool(self.meta.get("private"))

    @property
    def prefix(self) -> str:
        """Its path on the server: `lidr/quickstart`, `datasets/lidr/quickstart-prefs`."""
        return self.id if self.type == "model" else f"{self.type}s/{self.id}"

    def write_meta(self, **changes: Any) -> None:
        """Change some of the fields."""
        disk.write_json(self.folder / "meta.json", {**self.meta, **changes})

    def refs(self) -> Refs:
        """All refs."""
        refs: Refs | None = disk.read_json(self.folder / "refs.json")
        return refs or {"branches": {}, "tags": {}, "pulls": {}}

    def write_refs(self, refs: Refs) -> None:
        """Swap all refs at once. What they name is on the disk already."""
        disk.write_json(self.folder / "refs.json", refs)

    def commit(self, sha: str) -> Commit:
        """A commit by its id."""
        return _read_commit(self.folder / "commits" / sha)

    def resolve(self, revision: str) -> Commit:
        """The commit that a branch, a tag, a pull request's ref or a full id names."""
        refs = self.refs()
        if revision in refs["branches"]:
            return self.commit(refs["branches"][revision])
        if revision in refs["tags"]:
            return self.commit(refs["tags"][revision]["target"])
        if revision in refs["pulls"]:
            return self.commit(refs["pulls"][revision])
        if names.is_sha(revision):
            return self.commit(revision)
        raise no_revision(revision)

    def log(self, commit: Commit) -> Iterator[Commit]:
        """A commit and its ancestors, the newest first."""
        current: Commit | None = commit
        while current is not None:
            yield current
            current = self.commit(current.parent) if current.parent else None

    def add_commit(
        self, files: Mapping[str, File], *, parent: Commit | None, title: str, message: str, author: str
    ) -> Commit:
        """Write a commit that no ref names yet. Files with an empty `commit` are the ones that it touches."""
        tree = git_ids.tree_ids({path: file["oid"] for path, file in files.items()})[""]
        now = max(int(time.time()), parent.time if parent else 0)
        text = f"{title}\n\n{message}" if message else title
        sha = git_ids.commit_id(tree, [parent.sha] if parent else [], author=author, time=now, message=text)
        owned: dict[str, File] = {
            path: {**files[path], "commit": files[path]["commit"] or sha} for path in sorted(files)
        }
        commit = Commit(sha, parent.sha if parent else None, title, message, author, now, owned)
        (self.folder / "commits").mkdir(exist_ok=True)
        content = {name: getattr(commit, name) for name in Commit.__dataclass_fields__}
        disk.write_json(self.folder / "commits" / sha, content)
        return commit

    def move_ref(self, revision: str, commit: Commit, *, expected: str | None) -> None:
        """Let a branch or a pull request's ref name another commit, if it still names the expected one."""
        refs = self.refs()
        table = refs["pulls"] if names.is_pull_request(revision) else refs["branches"]
        if table.get(revision) != expected:
            raise Refusal(412, "A commit has happened since. Please refresh and try again.")
        table[revision] = commit.sha
        self.write_refs(refs)
        self.write_meta(modified=commit.time)
