"""Which names are allowed. Everything that becomes part of a file name or of a ref passes here first."""

from __future__ import annotations

import re
from typing import Literal

from lidr.hub_server.refusal import Refusal

RepoType = Literal["model", "dataset", "space"]
REPO_TYPES: tuple[RepoType, ...] = ("model", "dataset", "space")

_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?")
_SHA = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_PULL_REQUEST = re.compile(r"refs/pr/[1-9][0-9]*")
_LONGEST_PATH, _LONGEST_REF = 1024, 200  # bytes, characters


def checked_repo_type(text: object) -> RepoType:
    """The type of a repository; absent means a model, as for the real Hub."""
    for known in REPO_TYPES:
        if text == known:
            return known
    if text is None:
        return "model"
    raise Refusal(400, f"Invalid repository type: {text!r}; allowed: {', '.join(REPO_TYPES)}")


_OWN_PATHS = {f"lidr/{name}" for name in ("cdn", "collect", "faults", "health", "lfs", "login")}


def checked_repo_id(namespace: str, name: str) -> str:
    """`namespace/name`, once both are checked.

    >>> checked_repo_id("lidr", "quickstart-prefs")
    'lidr/quickstart-prefs'
    """
    for part in (namespace, name):
        if not _NAME.fullmatch(part) or "--" in part or ".." in part or part.endswith(".git"):
            raise Refusal(
                400,
                f"Invalid repository name: {namespace}/{name}; allowed are letters, digits, '_', '-' and '.', "
                "at most 96, no '--', no '..', not beginning or ending with '-' or '.', not ending with '.git'",
            )
    if f"{namespace}/{name}" in _OWN_PATHS:
        raise Refusal(
            400, f"Invalid repository name: {namespace}/{name} is a path of the Hub itself; take another name"
        )
    return f"{namespace}/{name}"


def checked_path(text: str) -> str:
    """A file's path inside a repository: relative, plain, with forward slashes."""
    parts = text.split("/")
    is_bad = not text or "\\" in text or any(ord(character) < 32 or ord(character) == 127 for character in text)
    if is_bad or any(part in ("", ".", "..", ".git") for part in parts) or not _fits(text):
        raise Refusal(400, f"Invalid path in the repository: {text!r}")
    return text


def _fits(text: str) -> bool:
    try:
        return len(text.encode("utf-8")) <= _LONGEST_PATH
    except UnicodeEncodeError:  # half a surrogate pair, from JSON
        return False


def checked_ref(text: str) -> str:
    """The name of a branch or a tag, as git allows it; nothing that can be mistaken for a commit."""
    if is_sha(text):
        raise Refusal(409, f"Invalid reference name: {text} looks like a commit")
    parts = text.split("/")
    is_bad = (
        not text
        or len(text) > _LONGEST_REF
        or text == "HEAD"
        or parts[0] == "refs"
        or any(not part or part.startswith((".", "-")) or part.endswith((".", ".lock")) for part in parts)
        or ".." in text
        or "@{" in text
        or not re.fullmatch(r"[A-Za-z0-9._/+@=-]+", text)
    )
    if is_bad:
        raise Refusal(400, f"Invalid reference name: {text!r}")
    return text


def is_sha(text: str) -> bool:
    """Is it a commit's id, 40 hex digits?"""
    return bool(_SHA.fullmatch(text))


def is_pull_request(text: str) -> bool:
    """Is it the ref of a pull request?"""
    return bool(_PULL_REQUEST.fullmatch(text))


def checked_sha256(text: object) -> str:
    """The id of an object, checked before it becomes a file name."""
    if isinstance(text, str) and _SHA256.fullmatch(text):
        return text
    raise Refusal(400, f"Invalid object id: {text!r}; it must be a sha256, 64 hex digits")
