"""The ids that git itself would give: what is published here has the same blob ids on the real Hub."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any


def header(size: int) -> bytes:
    """What git puts before a blob's content.

    >>> hashlib.sha1(header(6) + b"honey\\n").hexdigest()     # printf 'honey\\n' | git hash-object --stdin
    'b8488d014fc677f30ee13282641c57da851c6dbd'
    """
    return b"blob %d\0" % size


def lfs_pointer(sha256: str, size: int) -> bytes:
    """The small text that stands in git for a large file."""
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n".encode()


def blob_id(content: bytes) -> str:
    """The id of a blob whose content is in memory."""
    return hashlib.sha1(header(len(content)) + content).hexdigest()


def tree_ids(blobs: Mapping[str, str]) -> dict[str, str]:
    """The id of every directory of a tree, the root under "".

    Args:
        blobs: path -> blob id.
    """
    children: dict[str, dict[str, tuple[bytes, str]]] = {"": {}}
    for path, oid in blobs.items():
        folder, _, name = path.rpartition("/")
        children.setdefault(folder, {})[name] = (b"100644", oid)
        while folder:
            folder = folder.rpartition("/")[0]
            if folder in children:
                break  # and so are the folders that it stands in
            children[folder] = {}
    ids: dict[str, str] = {}
    for folder in sorted(children, key=lambda path: (path != "", path.count("/")), reverse=True):  # deepest first
        ids[folder] = _tree_id(children[folder])
        if folder:
            parent, _, name = folder.rpartition("/")
            children[parent][name] = (b"40000", ids[folder])
    return ids


def _tree_id(entries: Mapping[str, tuple[bytes, str]]) -> str:
    def order(item: tuple[str, tuple[bytes, str]]) -> bytes:
        name, (mode, _) = item
        return name.encode() + (b"/" if mode == b"40000" else b"")  # git sorts a directory as if it ended in a slash

    body = b"".join(
        mode + b" " + name.encode() + b"\0" + bytes.fromhex(oid)
        for name, (mode, oid) in sorted(entries.items(), key=order)
    )
    return _hash("tree", body)


def commit_id(tree: str, parents: Iterable[str], *, author: str, time: int, message: str) -> str:
    """The id of a commit at a time in whole seconds since 1970, UTC."""
    who = f"{author} <{author}@localhost> {time} +0000"
    lines = [f"tree {tree}", *(f"parent {parent}" for parent in parents), f"author {who}", f"committer {who}"]
    return _hash("commit", ("\n".join(lines) + f"\n\n{message}\n").encode("utf-8", "replace"))


def _hash(kind: str, body: bytes) -> str:
    return hashlib.sha1(f"{kind} {len(body)}\0".encode() + body).hexdigest()


def summary(entries: Mapping[str, Any]) -> dict[str, str]:
    """Path -> blob id of a commit's files, as `tree_ids` takes it."""
    return {path: entry["oid"] for path, entry in entries.items()}
