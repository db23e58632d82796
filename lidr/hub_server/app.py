"""All of the Hub as one ASGI application."""

from __future__ import annotations

import errno
import ipaddress
import sys
import traceback
from asyncio import to_thread
from typing import cast

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from lidr.hub_server.api import API_ROUTES
from lidr.hub_server.faults import ConnectionCut, FaultyApp
from lidr.hub_server.pages import PAGE_ROUTES
from lidr.hub_server.refusal import Refusal
from lidr.hub_server.routes import Table
from lidr.hub_server.wire import LARGEST_BODY, Call, Context, Handler, StreamHandler, decoded, refused


def application(context: Context, *, hosts: frozenset[str] | None = None) -> ASGIApp:
    """The application.

    Args:
        context: storage, token, faults, mode.
        hosts: names under which browsers may call it; None allows every name. On the loopback interface this keeps
            web pages from reaching the Hub by a name of their own that resolves to 127.0.0.1.
    """
    table = Table((*API_ROUTES, *PAGE_ROUTES))

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        response = await _respond(table, context, request, hosts)
        await response(scope, receive, send)

    return FaultyApp(app, context.faults)


async def _respond(table: Table, context: Context, request: Request, hosts: frozenset[str] | None) -> Response:
    try:
        if hosts is not None and not _is_allowed(request.headers.get("host", ""), hosts):
            raise Refusal(421, "This Hub does not answer to that name")
        raw = request.scope.get("raw_path", b"").decode("latin-1")
        found, match = table.find(request.method, raw)
        call = Call(context, request, decoded(match.groupdict()), b"" if found.streams else await _body(request))
        if found.streams:
            return await cast(StreamHandler, found.handler)(call)
        return await to_thread(cast(Handler, found.handler), call)
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


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST_BODY:
            raise Refusal(413, f"The request is larger than {LARGEST_BODY} bytes")
    return bytes(body)
