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

from lidr.hub_server.api import admin, collections, commit, lfs, refs, repos, resolve, tree
from lidr.hub_server.faults import ConnectionCut, FaultyApp
from lidr.hub_server.pages import index_page, lineage_page, repository_page, rows_page
from lidr.hub_server.pages.frame import shown
from lidr.hub_server.refusal import Refusal
from lidr.hub_server.routes import Route, Table, route
from lidr.hub_server.wire import LARGEST_BODY, Call, Context, Handler, StreamHandler, decoded, refused

ROUTES: tuple[Route, ...] = (
    route("GET", "/api/whoami-v2", repos.whoami),
    route("POST", "/api/repos/create", repos.create),
    route("DELETE", "/api/repos/delete", repos.delete),
    route("POST", "/api/repos/move", repos.move),
    route("POST", "/api/validate-yaml", commit.validate_yaml),
    route("GET", "/api/{type}", repos.listing),
    route("GET HEAD", "/api/resolve-cache/{type}/{repo}/{revision}/(?P<cached>){path}", resolve.resolve),
    route("GET", "/api/collections", collections.listing),
    route("POST", "/api/collections", collections.create),
    route("GET", "/api/collections/{namespace}/{slug}", collections.get),
    route("PATCH", "/api/collections/{namespace}/{slug}", collections.update),
    route("DELETE", "/api/collections/{namespace}/{slug}", collections.delete),
    route("POST", "/api/collections/{namespace}/{slug}/items", collections.add_item),
    route("PATCH", "/api/collections/{namespace}/{slug}/items/{item}", collections.update_item),
    route("DELETE", "/api/collections/{namespace}/{slug}/items/{item}", collections.delete_item),
    route("GET", "/api/{type}/{repo}", repos.info),
    route("GET", "/api/{type}/{repo}/revision/{revision}", repos.info),
    route("GET", "/api/{type}/{repo}/auth-check", repos.auth_check),
    route("GET", "/api/{type}/{repo}/auth-check/(?P<write>write)", repos.auth_check),
    route("PUT", "/api/{type}/{repo}/settings", repos.settings),
    route("GET", "/api/{type}/{repo}/tree/{revision}", tree.tree),
    route("GET", "/api/{type}/{repo}/tree/{revision}/{path}", tree.tree),
    route("POST", "/api/{type}/{repo}/paths-info/{revision}", tree.paths_info),
    route("GET", "/api/{type}/{repo}/refs", refs.refs),
    route("GET", "/api/{type}/{repo}/commits/{revision}", refs.commits),
    route("POST", "/api/{type}/{repo}/branch/{branch}", refs.create_branch),
    route("DELETE", "/api/{type}/{repo}/branch/{branch}", refs.delete_branch),
    route("POST", "/api/{type}/{repo}/tag/{revision}", refs.create_tag),
    route("DELETE", "/api/{type}/{repo}/tag/{revision}", refs.delete_tag),
    route("POST", "/api/{type}/{repo}/super-squash/{branch}", refs.squash),
    route("POST", "/api/{type}/{repo}/preupload/{revision}", commit.preupload),
    route("POST", "/api/{type}/{repo}/commit/{revision}", commit.commit),
    route("POST", "/api/{type}/{repo}/lfs-files/duplicate", lfs.duplicate),
    route("POST", r"/{prefix}{repo}\.git/info/lfs/objects/batch", lfs.batch),
    route("POST", r"/{prefix}{repo}\.git/info/lfs/objects/verify", lfs.verify),
    route("PUT", "/lidr/lfs/{sha256}", lfs.put),
    route("GET HEAD", "/lidr/cdn/{sha256}", resolve.cdn),
    route("GET", "/lidr/health", admin.health),
    route("GET POST DELETE", "/lidr/faults", admin.faults),
    route("POST", "/lidr/collect", admin.collect_now),
    route("GET HEAD", "/{prefix}{repo}/(?:resolve|raw)/{revision}/{path}", resolve.resolve),
    route("GET", "/", shown(index_page.index)),
    route("GET", "/lidr/login", shown(index_page.login)),
    route("GET", "/collections/{namespace}/{slug}", shown(index_page.collection)),
    route("GET", "/(?!api/){prefix}{repo}", shown(repository_page.card)),
    route("GET", "/{prefix}{repo}/card/{revision}", shown(repository_page.card)),
    route("GET", "/{prefix}{repo}/rows/{revision}", shown(rows_page.rows)),
    route("GET", "/{prefix}{repo}/lineage/{revision}", shown(lineage_page.lineage)),
    route("GET", "/{prefix}{repo}/(?:tree|commit)/{revision}", shown(repository_page.files)),
    route("GET", "/{prefix}{repo}/tree/{revision}/{path}", shown(repository_page.files)),
    route("GET", "/{prefix}{repo}/blob/{revision}/{path}", shown(repository_page.blob)),
    route("GET", "/{prefix}{repo}/commits/{revision}", shown(repository_page.commits)),
)


def application(context: Context, *, hosts: frozenset[str] | None = None) -> ASGIApp:
    """The application.

    Args:
        context: storage, token, faults, mode.
        hosts: names under which browsers may call it; None allows every name. On the loopback interface this keeps
            web pages from reaching the Hub by a name of their own that resolves to 127.0.0.1.
    """
    table = Table(ROUTES)

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
