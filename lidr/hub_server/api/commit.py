"""Endpoints of a commit: is the card valid, how is each file to be sent, and the commit itself."""

from __future__ import annotations

import base64
import codecs
import fnmatch
from asyncio import to_thread
from typing import Any

from starlette.responses import Response

from lidr.hub_server import card_rules
from lidr.hub_server.api.commit_draft import LONGEST_LINE, Draft
from lidr.hub_server.budget import Budget
from lidr.hub_server.refusal import Refusal
from lidr.hub_server.storage import Commit, checked_path, checked_repo_type
from lidr.hub_server.wire import Call, answer, mappings

MOST_FILES_AT_ONCE = 10_000  # of one preupload; the genuine client asks for 256
PATTERNS_S = 3.0  # CPU time
_LONGEST_PATTERN = 512  # characters
_LARGEST_RULES = 1024 * 1024  # bytes of .gitattributes and .gitignore
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
    files = mappings(wanted.get("files"), "files")
    if len(files) > MOST_FILES_AT_ONCE:
        raise Refusal(413, f"More than {MOST_FILES_AT_ONCE} files at once; ask for them in several requests")
    budget = Budget(PATTERNS_S, "matching these names against the patterns of .gitattributes and .gitignore")
    for file in files:
        path = checked_path(str(file.get("path", "")))
        mode = "lfs" if _is_large(file, path, patterns, budget) else "regular"
        described: dict[str, Any] = {"path": path, "uploadMode": mode, "shouldIgnore": _matches(path, ignored, budget)}
        if (known := commit.files.get(path)) is not None:
            described["oid"] = known["sha256"] if known["lfs"] else known["oid"]
        answers.append(described)
    return answer({"files": answers, "commitOid": commit.sha})


def _text(call: Call, commit: Commit, path: str) -> str:
    file = commit.files.get(path)
    if file is None:
        return ""
    if file["size"] > _LARGEST_RULES:
        raise Refusal(
            422, f"{path} is larger than {_LARGEST_RULES} bytes, so its patterns are not read: make it smaller"
        )
    return call.storage.objects.read(file["sha256"]).decode("utf-8", "replace")


def _large_patterns(call: Call, commit: Commit) -> list[str]:
    lines = [line.split() for line in _text(call, commit, ".gitattributes").splitlines()]
    return _checked([words[0] for words in lines if "filter=lfs" in words[1:]], ".gitattributes")


def _ignore_patterns(call: Call, commit: Commit, wanted: dict[str, Any]) -> list[str]:
    text = wanted.get("gitIgnore")
    lines = (text if isinstance(text, str) else _text(call, commit, ".gitignore")).splitlines()
    return _checked([line.strip() for line in lines if line.strip() and not line.startswith(("#", "!"))], ".gitignore")


def _checked(patterns: list[str], where: str) -> list[str]:
    if any(len(pattern) > _LONGEST_PATTERN for pattern in patterns):
        raise Refusal(422, f"{where} has a pattern of more than {_LONGEST_PATTERN} characters")
    return patterns


def _matches(path: str, patterns: list[str], budget: Budget | None = None) -> bool:
    """The common part of git's rules: a pattern without a slash is for names at any depth, one with is for the path.

    >>> _matches("en-de/a.parquet", ["*.parquet"]), _matches("x/runs/log", ["runs/"]), _matches("a.txt", ["/b/*"])
    (True, True, False)
    """
    parts = path.split("/")
    for pattern in patterns:
        if budget is not None:
            budget.check()
        plain = pattern.strip("/")
        if "/" in plain:
            if fnmatch.fnmatchcase(path, plain) or fnmatch.fnmatchcase(path, f"{plain}/*"):
                return True
        elif any(fnmatch.fnmatchcase(part, plain) for part in (parts[:-1] if pattern.endswith("/") else parts)):
            return True
    return False


def _is_large(file: dict[str, Any], path: str, patterns: list[str], budget: Budget) -> bool:
    size = file.get("size")
    if size == 0:
        return False
    if isinstance(size, int) and size > LARGEST_REGULAR:
        return True
    return _matches(path, patterns, budget) or not _is_text(file.get("sample"))


def _is_text(sample: object) -> bool:
    try:
        raw = base64.b64decode(str(sample or ""))
        codecs.getincrementaldecoder("utf-8")().decode(raw)  # the sample may end in the middle of a character
    except ValueError:  # no base64, or no UTF-8
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
            await to_thread(draft.add_lines, lines)
        if len(rest) > LONGEST_LINE:
            raise Refusal(413, "A file of the commit is too large to be sent in it: send it through LFS")
    if rest.strip():
        await to_thread(draft.add_lines, [bytes(rest)])
    return await to_thread(_land, call, draft)


def _land(call: Call, draft: Draft) -> Response:
    as_pull = call.query.get("create_pr", "").lower() in ("1", "true")
    made, ref = draft.land(call.parts["revision"], author=call.user, pull_request=as_pull)
    base = f"{call.base_url}/{draft.repository.prefix}"
    body = {"success": True, "commitOid": made.sha, "commitUrl": f"{base}/commit/{made.sha}", "hookOutput": ""}
    if as_pull:
        body["pullRequestUrl"] = f"{base}/discussions/{ref.rpartition('/')[2]}"
    return answer(body)
