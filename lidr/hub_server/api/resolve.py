"""Endpoints of file contents: whole, in part, and by redirection as the real Hub does."""

from __future__ import annotations

import mimetypes
import re
from asyncio import to_thread
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

from starlette.responses import Response, StreamingResponse

from lidr.hub_server.refusal import Refusal
from lidr.hub_server.storage import File, checked_sha256
from lidr.hub_server.wire import Call, whole

_CHUNK = 256 * 1024  # bytes
_SHOWN = ("image/png", "image/jpeg", "image/gif", "image/webp", "image/svg+xml")


def resolve(call: Call) -> Response:
    """A file at a revision."""
    repository, path = call.repository, call.parts["path"]
    commit = repository.resolve(call.parts["revision"])
    file = commit.file(path)
    headers = _headers(file, commit.sha, path)
    if not call.context.redirect or "cached" in call.parts:
        return _content(call, file, headers)
    headers["Content-Length"] = "0"
    network = _network(call.base_url)
    if file["lfs"] and network:
        signature = call.context.access.signature("get", file["sha256"])
        headers["Location"] = f"{network}/lidr/cdn/{file['sha256']}?signature={signature}"
        return Response(status_code=302, headers=headers)
    where = f"{repository.type}s/{quote(repository.id)}/{commit.sha}/{quote(path)}"
    headers["Location"] = f"/api/resolve-cache/{where}"
    return Response(status_code=307, headers=headers)


def _network(base_url: str) -> str | None:
    """This server under another name: the clients treat it as the content network of the real Hub, another host."""
    for here, there in (("//127.0.0.1:", "//localhost:"), ("//localhost:", "//127.0.0.1:")):
        if here in base_url:
            return base_url.replace(here, there)
    return None


def _headers(file: File, commit: str, path: str) -> dict[str, str]:
    etag = file["sha256"] if file["lfs"] else file["oid"]
    headers = {
        "ETag": f'"{etag}"',
        "X-Repo-Commit": commit,
        "Accept-Ranges": "bytes",
        "Content-Disposition": f"inline; filename*=UTF-8''{quote(path.rpartition('/')[2])}",
        **_safety(path),
    }
    if file["lfs"]:
        headers |= {"X-Linked-Etag": f'"{etag}"', "X-Linked-Size": str(file["size"])}
    return headers


def _safety(path: str) -> dict[str, str]:
    """Contents are anybody's: pictures are shown, everything else is plain text or bytes, and nothing runs."""
    guessed = mimetypes.guess_type(path)[0] or ""
    is_text = guessed.startswith("text/") or guessed == "application/json" or path.endswith((".md", ".yaml", ".jsonl"))
    kind = guessed if guessed in _SHOWN else "text/plain; charset=utf-8" if is_text else "application/octet-stream"
    return {
        "Content-Type": kind,
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "default-src 'none'; sandbox",
    }


def cdn(call: Call) -> Response:
    """A large file by its sha256, as a content network serves it: without a token, by a signed link."""
    sha256 = checked_sha256(call.parts["sha256"])
    call.context.access.refuse_forged(call.query.get("signature", ""), "get", sha256)
    size = call.storage.objects.size(sha256)
    if size is None:
        raise Refusal(404, "The object is not here")
    file: File = {"oid": "", "size": size, "sha256": sha256, "lfs": True, "commit": ""}
    headers = {"ETag": f'"{sha256}"', "Accept-Ranges": "bytes", **_safety("content.bin")}
    return _content(call, file, headers)


def _content(call: Call, file: File, headers: dict[str, str]) -> Response:
    wanted = byte_range(call.request.headers.get("range"), file["size"])
    if wanted is None:
        start, end = 0, file["size"]
    else:
        start, end = wanted
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{file['size']}"
    headers["Content-Length"] = str(end - start)
    status = 200 if wanted is None else 206
    if call.request.method == "HEAD":
        return Response(status_code=status, headers=headers)
    path = call.storage.objects.path(file["sha256"])
    return StreamingResponse(_read(path, start, end), status_code=status, headers=headers)


def byte_range(header: str | None, size: int) -> tuple[int, int] | None:
    """The half-open range that a Range header asks for; None for the whole.

    >>> byte_range("bytes=2-4", 10), byte_range("bytes=7-", 10), byte_range("bytes=-3", 10), byte_range(None, 10)
    ((2, 5), (7, 10), (7, 10), None)

    Raises:
        Refusal: 416 for a range that the file does not have.
    """
    match = re.fullmatch(r"bytes=([0-9]*)-([0-9]*)", (header or "").strip())
    if match is None or match[1] == match[2] == "":
        return None
    first, last = (whole(text, size) for text in match.groups())
    if first is None:
        start, end = max(0, size - (last or 0)), size
    else:
        start, end = first, size if last is None else min(size, last + 1)
    if start >= end:
        raise Refusal(416, "The file does not have that range", headers={"Content-Range": f"bytes */{size}"})
    return start, end


async def _read(path: Path, start: int, end: int) -> AsyncIterator[bytes]:
    file = await to_thread(path.open, "rb", 0)
    try:
        file.seek(start)
        left = end - start
        while left > 0:
            chunk = await to_thread(file.read, min(_CHUNK, left))
            if not chunk:
                return
            left -= len(chunk)
            yield chunk
    finally:
        file.close()
