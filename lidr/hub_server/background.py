"""Start a Hub beside this process, or share the one that serves the folder already."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from lidr.disk_faults import locked, locked_now, locked_together
from lidr.errors import HubError
from lidr.hub import Target, target_of_environment
from lidr.hub_server.serving import STATE
from lidr.hub_server.storage import read_json

_START_S = 30.0
_STOP_S = 15.0
_STARTED: dict[Path, subprocess.Popen[bytes]] = {}
"""What this process has started and not yet waited for, by folder: whoever in it lets go last waits."""


def default_root() -> Path:
    """Where the Hub keeps its things unless told otherwise: beside the artifacts of the store."""
    return Path(os.environ.get("LIDR_STORE", "runs")) / ".hub"


@dataclass
class Hub:
    """A running Hub. `close` lets go of it; the process ends when its last user has."""

    root: Path
    url: str
    token: str = field(repr=False)
    pid: int
    _held: ExitStack = field(default_factory=ExitStack, repr=False)

    @property
    def environment(self) -> dict[str, str]:
        """What a child needs, before it imports anything of Hugging Face, to use this Hub and no other."""
        return environment(self.root, self.url, self.token)

    def close(self) -> None:
        """Let go. Returns when the Hub has stopped, if this process started it and nobody else uses it."""
        self._held.close()
        _wait_for_ended()
        process = _STARTED.get(self.root)
        if process is None:
            return
        with locked_now(self.root / "users.lock") as is_alone:
            if is_alone:
                process.terminate()
                process.wait(timeout=_STOP_S)
        if not is_alone and not _is_shared(self.root):  # it has noticed itself that nobody uses it, and is ending
            process.wait(timeout=_STOP_S)
        _wait_for_ended()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _wait_for_ended() -> None:
    """Take the exit status of those that ended on their own, killed or after a last user elsewhere."""
    for root, process in [*_STARTED.items()]:
        if process.poll() is not None:
            _STARTED.pop(root, None)


def _is_shared(root: Path) -> bool:
    """Whether others use the Hub: a Hub that is ending holds its lock of users alone."""
    with locked_now(root / "users.lock", shared=True) as is_shared:
        return is_shared


def environment(root: Path, url: str, token: str) -> dict[str, str]:
    """The variables of a client. Its cache is its own: caches are keyed by name, whichever Hub a file came from."""
    return {
        "HF_ENDPOINT": url,
        "HF_TOKEN": token,
        "HF_HOME": str(root.resolve() / "client"),
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_UPDATE_CHECK": "1",
    }


def find_running(root: Path) -> Hub | None:
    """The Hub that serves this folder now; None when there is none, or none that this user may use."""
    try:
        state: Any = read_json(root / STATE)
    except (PermissionError, ValueError):
        return None
    if not isinstance(state, dict) or _health(state["url"]).get("pid") != state["pid"]:
        return None
    return Hub(root.resolve(), state["url"], state["token"], state["pid"])


def _health(url: str) -> dict[str, Any]:
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(url).netloc, timeout=5)
    try:
        connection.request("GET", "/lidr/health")
        answer = json.loads(connection.getresponse().read())
    except (OSError, ValueError, http.client.HTTPException, RecursionError):
        return {}
    finally:
        connection.close()
    return answer if isinstance(answer, dict) else {}


def serve_in_background(
    root: Path, *, port: int = 0, token: str | None = None, redirect: bool = False, patience_s: float = 60.0
) -> Hub:
    """Start a Hub in a process of its own, or share the one that serves this folder.

    Args:
        root: where the Hub keeps everything.
        port: where to listen on 127.0.0.1; 0 takes a free one. A Hub that is shared keeps its own.
        token: by default $LIDR_HUB_TOKEN, else a random one. A Hub that is shared keeps its own.
        redirect: answer downloads with redirections, as the real Hub does.
        patience_s: how long a client may keep still before it is cut off.

    Returns:
        The Hub, answering requests.

    Raises:
        HubError: it does not start; the message has what it said.
    """
    root = Path(root).resolve()
    root.mkdir(parents=True, exist_ok=True)
    held = ExitStack()
    held.enter_context(locked_together(root / "users.lock"))
    try:
        with locked(root / "start.lock"):
            hub = find_running(root) or _start(root, port=port, token=token, redirect=redirect, patience_s=patience_s)
    except BaseException:
        held.close()
        raise
    hub._held = held
    return hub


def _start(root: Path, *, port: int, token: str | None, redirect: bool, patience_s: float) -> Hub:
    command = [sys.executable, "-m", "lidr.hub_server", "--root", str(root), "--port", str(port)]
    command += ["--patience", str(patience_s)]
    surroundings = {**os.environ, **({"LIDR_HUB_TOKEN": token} if token else {})}
    log = root / "server.log"
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [*command, *(["--redirect"] if redirect else [])],
            env=surroundings,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            start_new_session=True,  # Ctrl-C is for the command that uses the Hub; it stops the Hub after
        )
    end = time.monotonic() + _START_S
    while time.monotonic() < end:
        hub = find_running(root)
        if hub is not None and hub.pid == process.pid:
            if root in _STARTED:
                _STARTED.pop(root).wait(_STOP_S)  # it has let go of the folder: it has ended, or is about to
            _STARTED[root] = process
            return hub
        if process.poll() is not None:
            said = log.read_text(encoding="utf-8", errors="replace").strip()
            raise HubError(f"{root}: the Hub did not start: {said or f'exit code {process.returncode}'}")
        time.sleep(0.02)
    process.kill()
    process.wait()
    raise HubError(f"{root}: the Hub did not answer within {_START_S:.0f} s; see {log}")


@contextmanager
def hub_for(store_root: Path, *, embedded: bool = False) -> Iterator[tuple[Target, Path | None]]:
    """The Hub of the environment; without one, or where asked for, the embedded Hub in the store, and its folder."""
    found = None if embedded else target_of_environment()
    if found is not None:
        yield found, None
        return
    root = store_root / ".hub"
    with serve_in_background(root) as hub:
        yield Target(hub.url, hub.token), root
