"""A commit request: one JSON object a line, carried out on the tree of the branch's head."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from lidr.hub_server import card_rules
from lidr.hub_server.api.changed_tree import Tree
from lidr.hub_server.refusal import Refusal
from lidr.hub_server.storage import Commit, File, Repository, Storage, checked_path, checked_sha256
from lidr.hub_server.wire import parse

MOST_OPERATIONS = 250_000
LONGEST_LINE = 64 * 1024 * 1024
"""A small file is at most 10 MB, so 14 MB in base64; a line over this is refused before it fills the memory."""


@dataclass
class Draft:
    """What a request asks for. Contents are stored as they come; nothing names them before `land`."""

    storage: Storage
    repository: Repository
    header: dict[str, Any] | None = None
    changes: list[tuple[str, File | None]] = field(default_factory=list)  # path or folder/, and None to remove

    def add_lines(self, lines: Iterable[bytes]) -> None:
        """Take some lines of the request; empty ones are none."""
        for line in filter(bytes.strip, lines):
            self._add_line(line)

    def _add_line(self, line: bytes) -> None:
        try:
            operation = parse(line)
            key, value = operation["key"], operation["value"]
        except (KeyError, TypeError):
            raise Refusal(400, "Malformed commit: each line must be an object with key and value") from None
        if not isinstance(value, dict):
            raise Refusal(400, f"Malformed commit: the value of {key!r} is no object")
        self._operation(key, value)

    def _operation(self, key: object, value: dict[str, Any]) -> None:
        if len(self.changes) >= MOST_OPERATIONS:
            raise Refusal(413, f"A commit holds at most {MOST_OPERATIONS} operations; make several of it")
        if key == "header":
            self.header = _checked_header(value)
        elif key == "file":
            self.changes.append((checked_path(_path(value)), self._small(value)))
        elif key == "lfsFile":
            self.changes.append((checked_path(_path(value)), self._large(value)))
        elif key == "deletedFile":
            self.changes.append((_path(value), None))
        elif key == "deletedFolder":
            self.changes.append((_path(value).rstrip("/") + "/", None))
        else:
            raise Refusal(400, f"Malformed commit: unknown operation {key!r}")

    def _small(self, value: dict[str, Any]) -> File:
        content = value.get("content", "")
        if value.get("encoding") == "base64":
            try:
                raw = base64.b64decode(content, validate=True)
            except (binascii.Error, ValueError, TypeError, RecursionError):
                raise Refusal(400, f"Malformed commit: {value['path']} is no base64") from None
        else:
            raw = str(content).encode("utf-8", "surrogatepass")
        if value["path"] == "README.md":
            card_rules.refuse_invalid(raw, self.repository.type)
        return self.storage.file(raw)

    def _large(self, value: dict[str, Any]) -> File:
        sha256 = checked_sha256(value.get("oid"))
        size = self.storage.objects.size(sha256)
        if size is None or value.get("size", size) != size:
            raise Refusal(400, f"LFS pointer pointed to a file that does not exist: {value['path']}")
        self.storage.objects.keep(sha256)
        return self.storage.large_file(sha256, size)

    def land(self, revision: str, *, author: str, pull_request: bool = False) -> tuple[Commit, str]:
        """Make the commit and move the ref; either both are on the disk afterwards or the ref is as it was.

        Returns:
            The commit, and the ref that now names it.
        """
        if self.header is None:
            raise Refusal(400, "Malformed commit: it has no header")
        title = str(self.header.get("summary") or "Upload")
        message = str(self.header.get("description") or "")
        with self.storage.changing:
            base = self.repository.resolve(revision)
            self._refuse_stale(base)
            if not pull_request:
                _refuse_immovable(self.repository, revision)
            files = apply(base, self.changes)
            commit = self.repository.add_commit(files, parent=base, title=title, message=message, author=author)
            if pull_request:
                revision = f"refs/pr/{len(self.repository.refs()['pulls']) + 1}"
            self.repository.move_ref(revision, commit, expected=None if pull_request else base.sha)
        return commit, revision

    def _refuse_stale(self, base: Commit) -> None:
        expected = (self.header or {}).get("parentCommit")
        if expected and expected != base.sha:
            raise Refusal(412, "A commit has happened since. Please refresh and try again.")


def _refuse_immovable(repository: Repository, revision: str) -> None:
    refs = repository.refs()
    if revision not in refs["branches"] and revision not in refs["pulls"]:
        raise Refusal(400, f"Cannot commit to {revision}: it is no branch")


def _checked_header(value: dict[str, Any]) -> dict[str, Any]:
    for name, most in (("summary", 10_000), ("description", 100_000)):
        if len(str(value.get(name) or "")) > most:
            raise Refusal(400, f"Malformed commit: its {name} has more than {most} characters")
    return value


def _path(value: dict[str, Any]) -> str:
    text = value.get("path")
    if not isinstance(text, str):
        raise Refusal(400, "Malformed commit: an operation has no path")
    checked_path(text.rstrip("/"))
    return text


def apply(base: Commit, changes: list[tuple[str, File | None]]) -> dict[str, File]:
    """The files after the changes; in time that grows with their number, whatever they delete.

    Raises:
        Refusal: 404 for the removal of what is not there, 400 for a path that is a file and a folder at once, 413 for
            more files or folders than a repository may have.
    """
    tree = Tree(base.sha)
    for path, file in base.files.items():
        tree.put(path, file)
    for path, change in changes:
        if change is None:
            tree.remove(path)
        else:
            known = tree.file(path)
            tree.put(path, known if known and known["oid"] == change["oid"] else change)
    return tree.files()
