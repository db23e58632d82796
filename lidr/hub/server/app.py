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

from lidr.hub.server import api_collections, api_commit, api_lfs, api_lidr, api_refs, api_repos, api_resolve, api_tree
from lidr.hub.server.faults import ConnectionCut, FaultyApp
from lidr.hub.server.pages import index, lineage_page, repository, rows_page
from lidr.hub.server.pages.frame import shown
from lidr.hub.server.refusal import Refusal
from lidr.hub.server.routes import Route, Table, route
from lidr.hub.server.wire import LARGEST_BODY, Call, Context, Handler, StreamHandler, decoded, refused

ROUTES: tuple[Route, ...] = (
    route("GET", "/api/whoami-v2", api_repos.whoami),
    route("POST", "/api/repos/create", api_repos.create),
    route("DELETE", "/api/repos/delete", api_repos.delete),
    route("POST", "/api/repos/move", api_repos.move),
    route("POST", "/api/validate-yaml", api_commit.validate_yaml),
    route("GET", "/api/{type}", api_repos.listing),
    route("GET HEAD", "/api/resolve-cache/{type}/{repo}/{revision}/(?P<cached>){path}", api_resolve.resolve),
    route("GET", "/api/collections", api_collections.listing),
    route("POST", "/api/collections", api_collections.create),
    route("GET", "/api/collections/{namespace}/{slug}", api_collections.get),
    route("PATCH", "/api/collections/{namespace}/{slug}", api_collections.update),
    route("DELETE", "/api/collections/{namespace}/{slug}", api_collections.delete),
    route("POST", "/api/collections/{namespace}/{slug}/items", api_collections.add_item),
    route("PATCH", "/api/collections/{namespace}/{slug}/items/{item}", api_collections.update_item),
    route("DELETE", "/api/collections/{namespace}/{slug}/items/{item}", api_collections.delete_item),
    route("GET", "/api/{type}/{repo}", api_repos.info),
    route("GET", "/api/{type}/{repo}/revision/{revision}", api_repos.info),
    route("GET", "/api/{type}/{repo}/auth-check", api_repos.auth_check),
    route("GET", "/api/{type}/{repo}/auth-check/(?P<write>write)", api_repos.auth_check),
    route("PUT", "/api/{type}/{repo}/settings", api_repos.settings),
    route("GET", "/api/{type}/{repo}/tree/{revision}", api_tree.tree),
    route("GET", "/api/{type}/{repo}/tree/{revision}/{path}", api_tree.tree),
    route("POST", "/api/{type}/{repo}/paths-info/{revision}", api_tree.paths_info),
    route("GET", "/api/{type}/{repo}/refs", api_refs.refs),
    route("GET", "/api/{type}/{repo}/commits/{revision}", api_refs.commits),
    route("POST", "/api/{type}/{repo}/branch/{branch}", api_refs.create_branch),
    route("DELETE", "/api/{type}/{repo}/branch/{branch}", api_refs.delete_branch),
    route("POST", "/api/{type}/{repo}/tag/{revision}", api_refs.create_tag),
    route("DELETE", "/api/{type}/{repo}/tag/{revision}", api_refs.delete_tag),
    route("POST", "/api/{type}/{repo}/super-squash/{branch}", api_refs.squash),
    route("POST", "/api/{type}/{repo}/preupload/{revision}", api_commit.preupload),
    route("POST", "/api/{type}/{repo}/commit/{revision}", api_commit.commit),
    route("POST", "/api/{type}/{repo}/lfs-files/duplicate", api_lfs.duplicate),
    route("POST", r"/{prefix}{repo}\.git/info/lfs/objects/batch", api_lfs.batch),
    route("POST", r"/{prefix}{repo}\.git/info/lfs/objects/verify", api_lfs.verify),
    route("PUT", "/lidr/lfs/{sha256}", api_lfs.put),
    route("GET HEAD", "/lidr/cdn/{sha256}", api_resolve.cdn),
    route("GET", "/lidr/health", api_lidr.health),
    route("GET POST DELETE", "/lidr/faults", api_lidr.faults),
    route("POST", "/lidr/collect", api_lidr.collect_now),
    route("GET HEAD", "/{prefix}{repo}/(?:resolve|raw)/{revision}/{path}", api_resolve.resolve),
    route("GET", "/", shown(index.index)),
    route("GET", "/lidr/login", shown(index.login)),
    route("GET", "/collections/{namespace}/{slug}", shown(index.collection)),
    route("GET", "/(?!api/){prefix}{repo}", shown(repository.card)),
    route("GET", "/{prefix}{repo}/card/{revision}", shown(repository.card)),
    route("GET", "/{prefix}{repo}/rows/{revision}", shown(rows_page.rows)),
    route("GET", "/{prefix}{repo}/lineage/{revision}", shown(lineage_page.lineage)),
    route("GET", "/{prefix}{repo}/(?:tree|commit)/{revision}", shown(repository.files)),
    route("GET", "/{prefix}{repo}/tree/{revision}/{path}", shown(repository.files)),
    route("GET", "/{prefix}{repo}/blob/{revision}/{path}", shown(repository.blob)),
    route("GET", "/{prefix}{repo}/commits/{revision}", shown(repository.commits)),
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
