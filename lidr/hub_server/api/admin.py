"""Endpoints of our own, under /lidr/: health, faults, collection of what nothing refers to."""

from __future__ import annotations

import os

from starlette.responses import Response

from lidr.hub_server.storage import GRACE_S, collect
from lidr.hub_server.wire import Call, answer, number, parse
from lidr.version import __version__


async def health(call: Call) -> Response:
    """Is this a lidr Hub, and which? The process id lets a second process recognize the one it looks for.

    Answered by the event loop itself, so that it is answered however busy the threads are.
    """
    return answer({"lidr": __version__, "pid": os.getpid(), "redirect": call.context.redirect})


def faults(call: Call) -> Response:
    """See, add or forget faults."""
    call.need_token()
    if call.request.method == "POST":
        call.context.faults.add(parse(call.body))
    elif call.request.method == "DELETE":
        call.context.faults.clear()
    return answer(call.context.faults.all())


def collect_now(call: Call) -> Response:
    """Remove unreferenced commits and contents; `grace_s` says how old they must be."""
    call.need_token()
    grace = number(call.json().get("grace_s"), "grace_s", default=GRACE_S)
    return answer(collect(call.storage, grace_s=grace)._asdict())
