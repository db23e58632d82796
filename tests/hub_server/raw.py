"""Requests without a client, and a check that everything on the disk is whole."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import httpx

from lidr.hub_server import Hub
from lidr.hub_server.storage import git_ids, names
from lidr.hub_server.storage.storage import Storage


def client(hub: Hub, *, token: str | None = "") -> httpx.Client:
    """A session with the Hub's token, another one, or none."""
    value = hub.token if token == "" else token
    return httpx.Client(base_url=hub.url, headers={"Authorization": f"Bearer {value}"} if value else {}, timeout=60)


def file(path: str, content: bytes) -> dict[str, Any]:
    encoded = base64.b64encode(content).decode()
    return {"key": "file", "value": {"path": path, "content": encoded, "encoding": "base64"}}


def commit(
    session: httpx.Client, repo: str, *operations: dict[str, Any], revision: str = "main", **header: str
) -> httpx.Response:
    """One commit; `repo` as in the API, `models/a/b` or `datasets/a/b`."""
    lines = [{"key": "header", "value": {"summary": "a commit", "description": "", **header}}, *operations]
    body = "\n".join(json.dumps(line) for line in lines)
    return session.post(f"/api/{repo}/commit/{revision}", content=body.encode())


def create(session: httpx.Client, repo: str, **more: Any) -> str:
    """A new data set; returns its name in the API."""
    namespace, name = repo.split("/")
    session.post(
        "/api/repos/create", json={"type": "dataset", "organization": namespace, "name": name, **more}
    ).raise_for_status()
    return f"datasets/{repo}"


def check_whole(root: Path) -> int:
    """Every ref, commit and content under a root is there and is what its name says; returns the number of commits."""
    storage, seen = Storage(root), 0
    for type_ in names.REPO_TYPES:
        for repository in storage.repositories(type_):
            refs = repository.refs()
            heads = [*refs["branches"].values(), *(tag["target"] for tag in refs["tags"].values())]
            for head in set(heads):
                for found in repository.log(head):
                    seen += 1
                    _check_commit(storage, repository.commit(found.sha))
    return seen


def _check_commit(storage: Storage, commit) -> None:
    tree = git_ids.tree_ids(git_ids.summary(commit.files))[""]
    text = f"{commit.title}\n\n{commit.message}" if commit.message else commit.title
    parents = [commit.parent] if commit.parent else []
    assert commit.sha == git_ids.commit_id(tree, parents, author=commit.author, time=commit.time, message=text)
    for path, entry in commit.files.items():
        content = storage.objects.read(entry["sha256"])
        assert hashlib.sha256(content).hexdigest() == entry["sha256"], path
        blob = git_ids.lfs_pointer(entry["sha256"], entry["size"]) if entry["lfs"] else content
        assert git_ids.blob_id(blob) == entry["oid"], path
