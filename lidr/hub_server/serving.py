"""The process that serves a root: one per root, on a port of its own, until it is told to stop.

Locks in the root, all let go by the kernel when their holder ends, however it ends:

    server.lock   held by the server for its whole life: one writer to a root
    users.lock    shared by all who use a Hub in the background; the server ends once nobody holds it
"""

from __future__ import annotations

import ipaddress
import os
import secrets
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lidr.disk_faults import locked_now
from lidr.errors import HubError, MissingExtraError
from lidr.hub_server.storage import Storage, collect, remove_unfinished, write_json

if TYPE_CHECKING:
    from starlette.types import ASGIApp

STATE = "hub.json"
_POLL_S = 1.0


def serve(
    root: Path,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    token: str | None = None,
    redirect: bool = False,
    background: bool = False,
    patience_s: float = 60.0,
    ready: Callable[[str, str], None] = lambda url, token: None,
) -> None:
    """Serve until a signal comes.

    Args:
        root: where everything is kept; is created.
        host, port: where to listen; port 0 takes a free one.
        token: who has it may do everything; by default a random one.
        redirect: answer downloads with redirections, as the real Hub does.
        background: end when no user is left.
        patience_s: how long a client may keep still before it is cut off.
        ready: is called with the URL and the token once requests are answered.

    Raises:
        HubError: another process serves this root, or the port is taken.
    """
    uvicorn = _uvicorn()
    root = root.resolve()
    root.mkdir(parents=True, exist_ok=True)
    token = token or secrets.token_hex(20)
    with locked_now(root / "server.lock") as is_ours:
        if not is_ours:
            raise HubError(f"{root}: another process serves this folder; `lidr hub env --root {root}` shows where")
        listener = _listen(host, port)
        url = _url(host, listener.getsockname()[1])
        app = _prepare(root, host, token, redirect=redirect, patience_s=patience_s)
        # h11, though httptools may be installed: the same server wherever lidr runs.
        from lidr.hub_server.patience import MOST_CONNECTIONS, protocol

        config = uvicorn.Config(
            app, log_level="critical", access_log=False, lifespan="off", http=protocol(patience_s), ws="none"
        )
        config.limit_concurrency = MOST_CONNECTIONS
        config.timeout_graceful_shutdown = 2
        config.timeout_keep_alive = 120  # s; after uvicorn's 5 a busy client may just be using the connection again
        server = uvicorn.Server(config)
        if background:
            threading.Thread(target=_stop_without_users, args=(root, server), daemon=True).start()
        write_json(root / STATE, {"pid": os.getpid(), "url": url, "token": token}, mode=0o600)
        _end_in_order()
        try:
            ready(url, token)
            server.run(sockets=[listener])
        finally:
            (root / STATE).unlink(missing_ok=True)


def _end_in_order() -> None:
    """Let SIGTERM end the process by an exception, so that hub.json is removed: uvicorn raises the signal again."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))


def _uvicorn() -> Any:
    try:
        import starlette  # noqa: F401
        import uvicorn
    except ModuleNotFoundError as error:
        raise MissingExtraError("hub", needed_for="the embedded Hub", missing=error.name or "starlette") from None
    return uvicorn


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except (OSError, OverflowError) as error:
        listener.close()
        raise HubError(f"cannot listen on {host}:{port}: {error}; choose another --port, or 0 for a free one") from None
    listener.listen(128)
    return listener


def _url(host: str, port: int) -> str:
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{shown}:{port}"


def is_loopback(host: str) -> bool:
    """Can only this machine reach that address?"""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _prepare(root: Path, host: str, token: str, *, redirect: bool, patience_s: float) -> ASGIApp:
    from lidr.hub_server.access import Access
    from lidr.hub_server.app import application
    from lidr.hub_server.wire import Context

    storage = Storage(root)
    remove_unfinished(storage)
    collect(storage)
    hosts = frozenset({"localhost", host.lower()}) if is_loopback(host) else None
    return application(Context(storage, Access(token), redirect=redirect, patience_s=patience_s), hosts=hosts)


def _stop_without_users(root: Path, server: Any) -> None:
    time.sleep(_POLL_S)
    while True:
        with locked_now(root / "users.lock") as is_alone:
            if is_alone:  # kept until this process has gone, so that whoever comes now starts a new one
                server.should_exit = True
                time.sleep(60)
                return
        time.sleep(_POLL_S)
