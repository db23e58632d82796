"""One repository on disk: its commits, which never change, and its refs, which are replaced as a whole."""

from __future__ import annotations

import json
import threading
import time
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, NamedTuple, TypedDict

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

    @cached_property
    def paths(self) -> list[str]:
        """All files and folders, sorted; not the root."""
        return sorted({*self.files, *self.folders} - {""})

    @cached_property
    def children(self) -> dict[str, list[str]]:
        """Folder -> what stands directly in it, sorted."""
        found: dict[str, list[str]] = {}
        for path in self.paths:
            found.setdefault(path.rpartition("/")[0], []).append(path)
        return found

    def inside(self, folder: str, *, recursive: bool) -> list[str]:
        """What stands in a folder, sorted; with `recursive` also in the folders in it."""
        if not recursive:
            return self.children.get(folder, [])
        if not folder:
            return self.paths
        first, last = (bisect_left(self.paths, folder + end) for end in ("/", "0"))  # 0 is the character after /
        return self.paths[first:last]

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


class Headline(NamedTuple):
    """A commit without its files, which may be many."""

    sha: str
    parent: str | None
    title: str
    message: str
    author: str
    time: int

    @property
    def date(self) -> str:
        """The time as the API writes it."""
        return iso(self.time)


class _Known:
    """Commits that were read lately, as many as hold so many files together."""

    _MOST_FILES = 400_000

    def __init__(self) -> None:
        self._commits: OrderedDict[Path, Commit] = OrderedDict()
        self._lock, self._files = threading.Lock(), 0

    def read(self, path: Path) -> Commit:
        with self._lock:
            if (known := self._commits.get(path)) is not None:
                self._commits.move_to_end(path)
                return known
        raw = disk.read_json(path)
        if raw is None:
            raise no_revision(path.name)
        commit = Commit(**raw)
        with self._lock:
            if path not in self._commits:
                self._commits[path] = commit
                self._files += len(commit.files) + 1
            while self._files > self._MOST_FILES and len(self._commits) > 1:
                self._files -= len(self._commits.popitem(last=False)[1].files) + 1
        return commit

    def clear(self) -> None:
        with self._lock:
            self._commits.clear()
            self._files = 0


_KNOWN = _Known()
_FILES = b',"files":{'
"""Where the list of files begins: `add_commit` writes it last, and inside a JSON string the quotes would be escaped."""


@lru_cache(maxsize=8192)
def _read_headline(path: Path) -> Headline:
    head = b""
    try:
        with path.open("rb") as file:
            while _FILES not in head[-len(_FILES) - 65536 :] and (chunk := file.read(65536)):
                head += chunk
    except FileNotFoundError:
        raise no_revision(path.name) from None
    head, found, _ = head.partition(_FILES)
    raw = json.loads(head + b"}" if found else head)
    return Headline(**{name: raw[name] for name in Headline._fields})


def forget_commits() -> None:
    """Read all commits from the disk again: some were removed."""
    _KNOWN.clear()
    _read_headline.cache_clear()


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
        return _KNOWN.read(self.folder / "commits" / sha)

    def headline(self, sha: str) -> Headline:
        """A commit without its files: what lists and histories need, and all that they read."""
        return _read_headline(self.folder / "commits" / sha)

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

    def log(self, sha: str) -> Iterator[Headline]:
        """A commit and its ancestors, the newest first."""
        current: str | None = sha
        while current is not None:
            found = self.headline(current)
            yield found
            current = found.parent

    def last_change(self, commit: Commit, path: str) -> Headline:
        """The newest commit that touched a file, or anything in a folder."""
        file = commit.files.get(path)
        return self.headline(file["commit"] if file else self._newest_inside(commit)[path])

    def _newest_inside(self, commit: Commit) -> dict[str, str]:
        """Folder -> the newest commit that touched anything in it; found once for a commit."""
        known: dict[str, str] | None = commit.__dict__.get("_newest")
        if known is None:
            known = {}
            touched = [(path.rpartition("/")[0], file["commit"]) for path, file in commit.files.items()]
            deepest_first = sorted(commit.folders, key=lambda folder: (folder != "", folder.count("/")), reverse=True)
            for folder, sha in touched:
                self._note(known, folder, sha)
            for folder in deepest_first:
                if folder:
                    self._note(known, folder.rpartition("/")[0], known[folder])
            commit.__dict__["_newest"] = known
        return known

    def _note(self, known: dict[str, str], folder: str, sha: str) -> None:
        if folder not in known or (
            known[folder] != sha and self.headline(known[folder]).time < self.headline(sha).time
        ):
            known[folder] = sha

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
