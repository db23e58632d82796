"""Endpoints of a commit: is the card valid, how is each file to be sent, and the commit itself."""

from __future__ import annotations

import base64
import binascii
import codecs
import fnmatch
from asyncio import to_thread
from typing import Any

from starlette.responses import Response

from lidr.hub_server import card_rules
from lidr.hub_server.api.commit_draft import LONGEST_LINE, Draft
from lidr.hub_server.refusal import Refusal
from lidr.hub_server.storage import Commit, checked_path, checked_repo_type
from lidr.hub_server.wire import Call, answer, mappings

LARGEST_REGULAR = 10 * 1024 * 1024  # bytes; above it a file is a large one, whatever it is called


def validate_yaml(call: Call) -> Response:
    """Check the metadata of a README."""
    wanted = call.json()
    errors, warnings = card_rules.validate(str(wanted.get("content", "")), checked_repo_type(wanted.get("repoType")))
    body = {
        "errors": [{"message": message} for message in errors],
        "warnings": [{"message": message} for message in warnings],
    }
    return answer(body, status=400 if errors else 200)


def preupload(call: Call) -> Response:
    """Say of each file whether it goes through LFS, and what is there now so that unchanged files are left out."""
    repository, wanted = call.writable, call.json()
    commit = repository.resolve(call.parts["revision"])
    patterns, ignored = _large_patterns(call, commit), _ignore_patterns(call, commit, wanted)
    answers = []
    for file in mappings(wanted.get("files"), "files"):
        path = checked_path(str(file.get("path", "")) if isinstance(file, dict) else "")
        mode = "lfs" if _is_large(file, path, patterns) else "regular"
        described: dict[str, Any] = {"path": path, "uploadMode": mode, "shouldIgnore": _matches(path, ignored)}
        if (known := commit.files.get(path)) is not None:
            described["oid"] = known["sha256"] if known["lfs"] else known["oid"]
        answers.append(described)
    return answer({"files": answers, "commitOid": commit.sha})


def _text(call: Call, commit: Commit, path: str) -> str:
    file = commit.files.get(path)
    if file is None or file["size"] > LARGEST_REGULAR:
        return ""
    return call.storage.objects.read(file["sha256"]).decode("utf-8", "replace")


def _large_patterns(call: Call, commit: Commit) -> list[str]:
    lines = [line.split() for line in _text(call, commit, ".gitattributes").splitlines()]
    return [words[0] for words in lines if "filter=lfs" in words[1:]]


def _ignore_patterns(call: Call, commit: Commit, wanted: dict[str, Any]) -> list[str]:
    text = wanted.get("gitIgnore")
    lines = (text if isinstance(text, str) else _text(call, commit, ".gitignore")).splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith(("#", "!"))]


def _matches(path: str, patterns: list[str]) -> bool:
    """The common part of git's rules: a pattern without a slash is for names at any depth, one with is for the path.

    >>> _matches("en-de/a.parquet", ["*.parquet"]), _matches("x/runs/log", ["runs/"]), _matches("a.txt", ["/b/*"])
    (True, True, False)
    """
    parts = path.split("/")
    for pattern in patterns:
        plain = pattern.strip("/")
        if "/" in plain:
            if fnmatch.fnmatchcase(path, plain) or fnmatch.fnmatchcase(path, f"{plain}/*"):
                return True
        elif any(fnmatch.fnmatchcase(part, plain) for part in (parts[:-1] if pattern.endswith("/") else parts)):
            return True
    return False


def _is_large(file: dict[str, Any], path: str, patterns: list[str]) -> bool:
    size = file.get("size")
    if size == 0:
        return False
    if isinstance(size, int) and size > LARGEST_REGULAR:
        return True
    return _matches(path, patterns) or not _is_text(file.get("sample"))


def _is_text(sample: object) -> bool:
    try:
        raw = base64.b64decode(str(sample or ""))
        codecs.getincrementaldecoder("utf-8")().decode(raw)  # the sample may end in the middle of a character
    except (binascii.Error, UnicodeDecodeError):
        return False
    return b"\0" not in raw


async def commit(call: Call) -> Response:
    """Take a commit line by line; no more than one file of it is ever in memory."""
    repository = await to_thread(lambda: call.writable)
    draft = Draft(call.storage, repository)
    rest = bytearray()
    async for chunk in call.request.stream():
        rest += chunk
        if b"\n" in chunk:
            *lines, tail = bytes(rest).split(b"\n")
            rest = bytearray(tail)
            for line in filter(bytes.strip, lines):
                await to_thread(draft.add_line, line)
        if len(rest) > LONGEST_LINE:
            raise Refusal(413, "A file of the commit is too large to be sent in it: send it through LFS")
    if rest.strip():
        await to_thread(draft.add_line, bytes(rest))
    return await to_thread(_land, call, draft)


def _land(call: Call, draft: Draft) -> Response:
    as_pull = call.query.get("create_pr", "").lower() in ("1", "true")
    made, ref = draft.land(call.parts["revision"], author=call.user, pull_request=as_pull)
    base = f"{call.base_url}/{draft.repository.prefix}"
    body = {"success": True, "commitOid": made.sha, "commitUrl": f"{base}/commit/{made.sha}", "hookOutput": ""}
    if as_pull:
        body["pullRequestUrl"] = f"{base}/discussions/{ref.rpartition('/')[2]}"
    return answer(body)
