"""A commit request: one JSON object a line, carried out on the tree of the branch's head."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field
from typing import Any

from lidr.hub_server import card_rules
from lidr.hub_server.refusal import Refusal, no_entry
from lidr.hub_server.storage import Commit, File, Repository, Storage, checked_path, checked_sha256
from lidr.hub_server.wire import parse

LONGEST_LINE = 64 * 1024 * 1024
"""A small file is at most 10 MB, so 14 MB in base64; a line over this is refused before it fills the memory."""


@dataclass
class Draft:
    """What a request asks for. Contents are stored as they come; nothing names them before `land`."""

    storage: Storage
    repository: Repository
    header: dict[str, Any] | None = None
    changes: list[tuple[str, File | None]] = field(default_factory=list)  # path or folder/, and None to remove

    def add_line(self, line: bytes) -> None:
        """Take one line of the request."""
        try:
            operation = parse(line)
            key, value = operation["key"], operation["value"]
        except (KeyError, TypeError):
            raise Refusal(400, "Malformed commit: each line must be an object with key and value") from None
        if not isinstance(value, dict):
            raise Refusal(400, f"Malformed commit: the value of {key!r} is no object")
        self._operation(key, value)

    def _operation(self, key: object, value: dict[str, Any]) -> None:
        if key == "header":
            self.header = value
        elif key == "file":
            self.changes.append((_path(value), self._small(value)))
        elif key == "lfsFile":
            self.changes.append((_path(value), self._large(value)))
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
            except (binascii.Error, ValueError, TypeError):
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


def _path(value: dict[str, Any]) -> str:
    text = value.get("path")
    if not isinstance(text, str):
        raise Refusal(400, "Malformed commit: an operation has no path")
    checked_path(text.rstrip("/"))
    return text


def apply(base: Commit, changes: list[tuple[str, File | None]]) -> dict[str, File]:
    """The files after the changes.

    Raises:
        Refusal: 404 for the removal of what is not there, 400 for a path that is a file and a folder at once.
    """
    files = dict(base.files)
    for path, file in changes:
        if file is not None:
            is_same = path in files and files[path]["oid"] == file["oid"]
            files[path] = files[path] if is_same else file
            continue
        gone = [known for known in files if known == path or (path.endswith("/") and known.startswith(path))]
        if not gone:
            raise no_entry(path, base.sha)
        for known in gone:
            del files[known]
    for path in files:
        parents = path.split("/")[:-1]
        for depth in range(1, len(parents) + 1):
            if (folder := "/".join(parents[:depth])) in files:
                raise Refusal(400, f"{folder} would be a file and a folder at once")
    return files
