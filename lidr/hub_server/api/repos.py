"""Endpoints of repositories as a whole: who am I, create, delete, move, settings, information, lists."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

from starlette.responses import Response

from lidr.hub_server import card_rules
from lidr.hub_server.refusal import Refusal
from lidr.hub_server.storage import (
    REPO_TYPES,
    Commit,
    File,
    Repository,
    checked_repo_id,
    checked_repo_type,
    iso,
    lfs_pointer,
)
from lidr.hub_server.wire import Call, answer, whole

LARGEST_CARD = 4 * 1024 * 1024  # bytes of README that are read for lists and pages


def whoami(call: Call) -> Response:
    """The holder of the token, and the namespaces that have repositories, as organizations."""
    call.need_token()
    spaces = {repository.id.split("/")[0] for type_ in REPO_TYPES for repository in call.storage.repositories(type_)}
    token = {"displayName": "lidr", "role": "write", "createdAt": iso(0)}
    orgs = [
        {"type": "org", "name": name, "fullname": name, "roleInOrg": "admin"} for name in sorted(spaces - {call.user})
    ]
    user = {
        "type": "user",
        "name": call.user,
        "fullname": call.user,
        "email": None,
        "emailVerified": True,
        "isPro": False,
    }
    return answer({**user, "orgs": orgs, "auth": {"type": "access_token", "accessToken": token}})


def create(call: Call) -> Response:
    """Create a repository; one that exists answers 409 and still tells its URL."""
    call.need_token()
    wanted = call.json()
    type_ = checked_repo_type(wanted.get("type"))
    name = str(wanted.get("name", ""))
    namespace = wanted.get("organization") or call.user
    if "/" in name:
        namespace, _, name = name.partition("/")
    repo_id = checked_repo_id(str(namespace), name)
    private = wanted.get("visibility") == "private" or bool(wanted.get("private"))
    prefix = repo_id if type_ == "model" else f"{type_}s/{repo_id}"
    body = {"url": f"{call.base_url}/{prefix}", "name": repo_id, "id": repo_id}
    try:
        call.storage.create(type_, repo_id, private=private, author=call.user)
    except Refusal as refusal:
        if refusal.status == 409:
            refusal.body = body
        raise
    return answer(body)


def _named(call: Call, wanted: dict[str, Any]) -> Repository:
    namespace = wanted.get("organization") or call.user
    return call.find(checked_repo_type(wanted.get("type")), f"{namespace}/{wanted.get('name')}")


def delete(call: Call) -> Response:
    """Delete a repository."""
    call.need_token()
    call.storage.delete(_named(call, call.json()))
    return answer({})


def move(call: Call) -> Response:
    """Give a repository another name."""
    call.need_token()
    wanted = call.json()
    source, target = str(wanted.get("fromRepo")), str(wanted.get("toRepo"))
    namespace, _, name = target.partition("/")
    checked_repo_id(namespace, name)
    call.storage.move(call.find(checked_repo_type(wanted.get("type")), source), target)
    return answer({})


def settings(call: Call) -> Response:
    """Change the visibility."""
    repository, wanted = call.writable, call.json()
    if "visibility" in wanted or "private" in wanted:
        private = wanted.get("visibility") == "private" or bool(wanted.get("private"))
        with call.storage.changing:
            repository.write_meta(private=private)
    return answer({"private": repository.is_private})


def auth_check(call: Call) -> Response:
    """May the caller read (or, with /write, write)?"""
    if "write" in call.parts:
        call.need_token()
    call.repository  # noqa: B018  # refuses
    return answer({})


def info(call: Call) -> Response:
    """Everything about a repository at a revision."""
    repository = call.repository
    commit = repository.resolve(call.parts.get("revision", "main"))
    with_blobs = call.query.get("blobs", "").lower() in ("1", "true")
    siblings = [_sibling(path, file, with_blobs=with_blobs) for path, file in commit.files.items()]
    return answer({**describe(call, repository, commit), "siblings": siblings})


def _sibling(path: str, file: File, *, with_blobs: bool) -> dict[str, Any]:
    if not with_blobs:
        return {"rfilename": path}
    described: dict[str, Any] = {"rfilename": path, "size": file["size"], "blobId": file["oid"]}
    if file["lfs"]:
        described["lfs"] = {"sha256": file["sha256"], "size": file["size"], "pointerSize": pointer_size(file)}
    return described


def pointer_size(file: File) -> int:
    """Bytes of the pointer that stands in git for a large file."""
    return len(lfs_pointer(file["sha256"], file["size"]))


def card_of(call: Call, commit: Commit) -> str:
    """The README at a commit; empty when there is none or it is no text."""
    file = commit.files.get("README.md")
    if file is None or file["size"] > LARGEST_CARD:
        return ""
    return call.storage.objects.read(file["sha256"]).decode("utf-8", "replace")


def metadata_of(call: Call, commit: Commit) -> dict[str, Any]:
    """What the card at a commit says; read once for each content, and never changed."""
    file = commit.files.get("README.md")
    if file is None or file["size"] > LARGEST_CARD:
        return {}
    return _metadata(call.storage.objects.path(file["sha256"]))


@lru_cache(maxsize=128)
def _metadata(path: Path) -> dict[str, Any]:
    return card_rules.metadata(path.read_bytes().decode("utf-8", "replace"))


def describe(call: Call, repository: Repository, commit: Commit) -> dict[str, Any]:
    """The fields that information and lists share."""
    meta, data = repository.meta, metadata_of(call, commit)
    described = {
        "_id": meta.get("key"),
        "id": repository.id,
        "author": repository.id.split("/")[0],
        "sha": commit.sha,
        "lastModified": iso(meta.get("modified", 0)),
        "createdAt": iso(meta.get("created", 0)),
        "private": repository.is_private,
        "gated": False,
        "disabled": False,
        "downloads": 0,
        "likes": 0,
        "tags": tags_of(data),
        "cardData": data,
    }
    if repository.type == "model":
        described["modelId"] = repository.id
        described |= {key: data[key] for key in ("pipeline_tag", "library_name") if isinstance(data.get(key), str)}
    return described


def tags_of(data: dict[str, Any]) -> list[str]:
    """The tags of a repository, as the Hub derives them from its card."""
    found = [str(tag) for tag in _listed(data.get("tags"))]
    for key, prefix in (
        ("license", "license"),
        ("language", "language"),
        ("datasets", "dataset"),
        ("base_model", "base_model"),
    ):
        found += [f"{prefix}:{value}" for value in _listed(data.get(key))]
    found += [f"task_categories:{value}" for value in _listed(data.get("task_categories"))]
    return found


def _listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def listing(call: Call) -> Response:
    """Repositories by author, part of the name, and tags."""
    author, search = call.query.get("author"), call.query.get("search", "").lower()
    wanted = set(call.request.query_params.getlist("filter"))
    found = []
    for repository in call.storage.repositories(call.repo_type):
        is_hidden = repository.is_private and not call.is_owner
        if is_hidden or (author and repository.id.split("/")[0] != author) or search not in repository.id.lower():
            continue
        described = describe(call, repository, repository.resolve("main"))
        if wanted <= set(described["tags"]):
            found.append(described)
    found.sort(key=lambda described: described["lastModified"], reverse=True)
    return answer(found[: whole(call.query.get("limit", ""), 10**9)])
