"""Endpoints of trees: what is in a folder, and what is at given paths."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from starlette.responses import Response

from lidr.hub_server.api.repos import pointer_size
from lidr.hub_server.refusal import no_entry
from lidr.hub_server.storage import Commit, Repository
from lidr.hub_server.wire import Call, answer, page

PAGE, EXPANDED_PAGE = 1000, 50


def tree(call: Call) -> Response:
    """The entries of a folder, with `recursive` also of the folders in it."""
    repository = call.repository
    commit = repository.resolve(call.parts["revision"])
    folder = call.parts.get("path", "").strip("/")
    if folder not in commit.folders:
        raise no_entry(folder, commit.sha)
    recursive, expand = (call.query.get(key, "").lower() in ("1", "true") for key in ("recursive", "expand"))
    paths = commit.inside(folder, recursive=recursive)
    # The link to the next page names the commit, so that a list that takes two pages is of one commit.
    where = f"/api/{repository.type}s/{quote(repository.id)}/tree/{commit.sha}"
    if folder:
        where += f"/{quote(folder, safe='')}"
    size = EXPANDED_PAGE if expand else PAGE
    return page(call, paths, size=size, path=where, show=lambda path: describe(repository, commit, path, expand=expand))


def paths_info(call: Call) -> Response:
    """The entries at given paths; those that are not there are left out."""
    repository = call.repository
    commit = repository.resolve(call.parts["revision"])
    form = call.form()
    expand = "true" in (str(value).lower() for value in form.get("expand", []))
    paths = [str(path).strip("/") for path in form.get("paths", [])]
    known = [path for path in paths if path in commit.files or path in commit.folders]
    return answer([describe(repository, commit, path, expand=expand) for path in known])


def describe(repository: Repository, commit: Commit, path: str, *, expand: bool) -> dict[str, Any]:
    """An entry: a file or a folder."""
    file = commit.files.get(path)
    if file is None:
        described: dict[str, Any] = {"type": "directory", "path": path, "size": 0, "oid": commit.folders[path]}
    else:
        described = {"type": "file", "path": path, "size": file["size"], "oid": file["oid"]}
        if file["lfs"]:
            described["lfs"] = {"oid": file["sha256"], "size": file["size"], "pointerSize": pointer_size(file)}
    if expand:
        last = repository.last_change(commit, path)
        described["lastCommit"] = {"id": last.sha, "title": last.title, "date": last.date}
    return described
