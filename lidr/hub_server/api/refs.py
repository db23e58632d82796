"""Endpoints of refs and history: branches, tags, commits, squash."""

from __future__ import annotations

from html import escape
from typing import Any
from urllib.parse import quote

from starlette.responses import Response

from lidr.hub_server.refusal import Refusal, no_revision
from lidr.hub_server.storage import Headline, Refs, checked_ref
from lidr.hub_server.wire import Call, answer, page


def refs(call: Call) -> Response:
    """All branches and tags, and pull requests if asked for."""
    known = call.repository.refs()
    described: dict[str, Any] = {
        "branches": [_ref(name, f"refs/heads/{name}", target) for name, target in known["branches"].items()],
        "tags": [_ref(name, f"refs/tags/{name}", tag["target"]) for name, tag in known["tags"].items()],
        "converts": [],
    }
    if call.query.get("include_prs", "").lower() in ("1", "true"):
        described["pullRequests"] = [_ref(name, name, target) for name, target in known["pulls"].items()]
    return answer(described)


def _ref(name: str, ref: str, target: str) -> dict[str, str]:
    return {"name": name, "ref": ref, "targetCommit": target}


def _refuse_taken(known: Refs, name: str, *, kind: str) -> None:
    """A branch and a tag of the same name would make `revision=name` ambiguous; git allows it, this Hub does not."""
    for table, other in ((known["branches"], "branch"), (known["tags"], "tag")):
        if name in table:
            also = "" if other == kind else f" as a {other}"
            raise Refusal(409, f"Reference already exists{also}: {name}")


def create_branch(call: Call) -> Response:
    """Create a branch at a revision; without one, at the head of main."""
    repository, name = call.writable, checked_ref(call.parts["branch"])
    start = call.json().get("startingPoint")
    with call.storage.changing:
        known = repository.refs()
        _refuse_taken(known, name, kind="branch")
        known["branches"][name] = repository.resolve(str(start or "main")).sha
        repository.write_refs(known)
    return answer({})


def delete_branch(call: Call) -> Response:
    """Delete a branch; main stays."""
    repository, name = call.writable, call.parts["branch"]
    if name == "main":
        raise Refusal(403, "The branch main cannot be deleted")
    with call.storage.changing:
        known = repository.refs()
        if known["branches"].pop(name, None) is None:
            raise no_revision(name)
        repository.write_refs(known)
    return answer({})


def create_tag(call: Call) -> Response:
    """Tag a revision."""
    repository, wanted = call.writable, call.json()
    name = checked_ref(str(wanted.get("tag", "")))
    with call.storage.changing:
        known = repository.refs()
        _refuse_taken(known, name, kind="tag")
        target = repository.resolve(call.parts["revision"]).sha
        known["tags"][name] = {"target": target, "message": str(wanted.get("message") or "")}
        repository.write_refs(known)
    return answer({})


def delete_tag(call: Call) -> Response:
    """Delete a tag."""
    repository, name = call.writable, call.parts["revision"]
    with call.storage.changing:
        known = repository.refs()
        if known["tags"].pop(name, None) is None:
            raise no_revision(name)
        repository.write_refs(known)
    return answer({})


def commits(call: Call) -> Response:
    """The history of a revision, the newest first."""
    repository = call.repository
    head = repository.resolve(call.parts["revision"])
    formatted = "formatted" in call.request.query_params.getlist("expand[]")
    where = f"/api/{repository.type}s/{quote(repository.id)}/commits/{head.sha}"
    return page(
        call,
        list(repository.log(head.sha)),
        size=50,
        path=where,
        show=lambda commit: describe(commit, formatted=formatted),
    )


def describe(commit: Headline, *, formatted: bool = False) -> dict[str, Any]:
    """A commit in a list."""
    described: dict[str, Any] = {
        "id": commit.sha,
        "title": commit.title,
        "message": commit.message,
        "authors": [{"user": commit.author}],
        "date": commit.date,
    }
    if formatted:
        described["formatted"] = {"title": escape(commit.title), "message": escape(commit.message)}
    return described


def squash(call: Call) -> Response:
    """Make one commit without parents of a branch's whole history."""
    repository, branch = call.writable, call.parts["branch"]
    message = str(call.json().get("message") or f"Super-squash branch '{branch}'")
    with call.storage.changing:
        if branch not in repository.refs()["branches"]:
            raise no_revision(branch)
        head = repository.resolve(branch)
        files = {path: {**file, "commit": ""} for path, file in head.files.items()}
        commit = repository.add_commit(files, parent=None, title=message, message="", author=call.user)  # type: ignore[arg-type]
        repository.move_ref(branch, commit, expected=head.sha)
    return answer({})
