"""All of the Hub as one ASGI application."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import re
import sys
import traceback
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import cast

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from lidr.hub_server.api import API_ROUTES
from lidr.hub_server.faults import ConnectionCut, FaultyApp
from lidr.hub_server.pages import PAGE_ROUTES
from lidr.hub_server.patience import patient
from lidr.hub_server.refusal import Refusal
from lidr.hub_server.routes import Route, Table
from lidr.hub_server.wire import (
    LARGEST_BODY,
    LARGEST_OF_STRANGERS,
    Call,
    Context,
    Handler,
    StreamHandler,
    decoded,
    refused,
    whole,
)


def application(context: Context, *, hosts: frozenset[str] | None = None) -> ASGIApp:
    """The application.

    Args:
        context: storage, token, faults, mode.
        hosts: names under which browsers may call it; None allows every name. On the loopback interface this keeps
            web pages from reaching the Hub by a name of their own that resolves to 127.0.0.1.
    """
    table = Table((*API_ROUTES, *PAGE_ROUTES))
    for_api = ThreadPoolExecutor(32, "hub-api")
    for_pages = ThreadPoolExecutor(4, "hub-pages")  # of their own, so that slow pages never hold up a client's calls

    async def work(found: Route, call: Call) -> Response:
        pool = for_pages if found in PAGE_ROUTES else for_api
        return await asyncio.get_running_loop().run_in_executor(pool, cast(Handler, found.handler), call)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request = Request(scope, patient(receive, context.patience_s))
        response = await _respond(table, work, context, request, hosts)
        await response(scope, receive, send)

    return FaultyApp(app, context.faults)


Work = Callable[[Route, Call], Awaitable[Response]]


async def _respond(
    table: Table, work: Work, context: Context, request: Request, hosts: frozenset[str] | None
) -> Response:
    try:
        if not _HOST.fullmatch(request.headers.get("host", "")):
            raise Refusal(400, "The Host header is no name of a host")
        if hosts is not None and not _is_allowed(request.headers.get("host", ""), hosts):
            raise Refusal(421, "This Hub does not answer to that name")
        raw = request.scope.get("raw_path", b"").decode("latin-1")
        found, match = table.find(request.method, raw)
        call = Call(context, request, decoded(match.groupdict()))
        if not found.streams:
            call = replace(call, body=await _body(request, LARGEST_BODY if call.is_owner else LARGEST_OF_STRANGERS))
        if found.streams:
            return await cast(StreamHandler, found.handler)(call)
        return await work(found, call)
    except Refusal as refusal:
        return refused(refusal)
    except (ClientDisconnect, ConnectionCut):
        raise
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            return _bug()
        return refused(Refusal(507, "The disk of this Hub is full; nothing was changed. Make room and send it again."))
    except Exception:
        return _bug()


_HOST = re.compile(r"[A-Za-z0-9._-]{0,255}(?::[0-9]{1,5})?|\[[0-9A-Fa-f:.]{2,60}\](?::[0-9]{1,5})?")


def _bug() -> Response:
    traceback.print_exc(file=sys.stderr)
    return refused(Refusal(500, "A bug in lidr's Hub; its standard error has the traceback"))


def _is_allowed(host: str, hosts: frozenset[str]) -> bool:
    name = host.rpartition(":")[0] if not host.endswith("]") and ":" in host else host
    name = name.strip("[]").lower()
    if name in hosts:
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


async def _body(request: Request, largest: int) -> bytes:
    announced = whole(request.headers.get("content-length", "0"), largest + 1) or 0
    body = bytearray()
    if announced <= largest:
        async for chunk in request.stream():
            body += chunk
            if len(body) > largest:
                break
    if max(announced, len(body)) > largest:
        raise Refusal(413, f"The request is larger than {largest} bytes", headers={"Connection": "close"})
    return bytes(body)
