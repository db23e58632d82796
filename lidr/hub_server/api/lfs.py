"""Endpoints of large files: the git-lfs batch protocol, basic transfer."""

from __future__ import annotations

from asyncio import to_thread
from typing import Any

from starlette.responses import Response

from lidr.hub_server.refusal import Refusal
from lidr.hub_server.storage import Incoming, checked_sha256
from lidr.hub_server.wire import Call, answer, mappings, whole

LARGEST_OBJECT = 1 << 50
_WRITE_AT_ONCE = 1024 * 1024  # bytes; fewer, larger writes keep the event loop free


def batch(call: Call) -> Response:
    """Say where to send each object; one that is stored already needs no sending."""
    repository, wanted = call.writable, call.json()
    if wanted.get("operation") != "upload":
        raise Refusal(400, "Only uploads go through here; downloads go through /resolve/")
    answers: list[dict[str, Any]] = []
    for item in mappings(wanted.get("objects"), "objects"):
        sha256, size = checked_sha256(item.get("oid")), item.get("size")
        if not isinstance(size, int) or not 0 <= size <= LARGEST_OBJECT:
            raise Refusal(400, f"Invalid size of object {sha256}: allowed are 0 to {LARGEST_OBJECT} bytes")
        described: dict[str, Any] = {"oid": sha256, "size": size}
        if call.storage.objects.size(sha256) == size:
            call.storage.objects.keep(sha256)
        else:
            signature = call.context.access.signature("put", sha256, size)
            prefix = f"{call.base_url}/{repository.prefix}"
            described["actions"] = {
                "upload": {"href": f"{call.base_url}/lidr/lfs/{sha256}?size={size}&signature={signature}"},
                "verify": {"href": f"{prefix}.git/info/lfs/objects/verify"},
            }
        answers.append(described)
    body = {"transfer": "basic", "objects": answers, "hash_algo": "sha256"}
    return answer(body, headers={"Content-Type": "application/vnd.git-lfs+json"})


async def put(call: Call) -> Response:
    """Take an object. The client sends no token here: the signature in the link stands for it."""
    sha256, size = checked_sha256(call.parts["sha256"]), whole(call.query.get("size", "0"), LARGEST_OBJECT)
    if size is None:
        raise Refusal(400, "size must be a number of bytes")
    call.context.access.refuse_forged(call.query.get("signature", ""), "put", sha256, size)
    incoming = await to_thread(Incoming, call.storage.objects)
    try:
        pending = bytearray()
        async for chunk in call.request.stream():
            pending += chunk
            if incoming.size + len(pending) > size:
                raise Refusal(413, f"Object {sha256} is larger than the announced {size} bytes")
            if len(pending) >= _WRITE_AT_ONCE:
                await to_thread(incoming.write, bytes(pending))
                pending.clear()
        await to_thread(incoming.write, bytes(pending))
        await to_thread(incoming.finish, sha256)
    except BaseException:  # also a client that went away
        incoming.abandon()
        raise
    return answer({})


def verify(call: Call) -> Response:
    """Is the object here, with that size?"""
    call.writable  # noqa: B018  # refuses
    wanted = call.json()
    if call.storage.objects.size(checked_sha256(wanted.get("oid"))) != wanted.get("size"):
        raise Refusal(404, "The object is not here, or has another size")
    return answer({})


def duplicate(call: Call) -> Response:
    """Copy large files to another repository: contents are shared, so there is nothing to do."""
    call.need_token()
    call.repository  # noqa: B018  # refuses
    files = mappings(call.json().get("files"), "files")
    here = [(item, call.storage.objects.size(checked_sha256(item.get("sha256"))) is not None) for item in files]
    return answer(
        {
            "success": [{"sha256": item["sha256"]} for item, is_here in here if is_here],
            "failed": [{"sha256": item["sha256"], "error": "not stored here"} for item, is_here in here if not is_here],
        }
    )
