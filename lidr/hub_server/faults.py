"""Failures on request, for tests and for whoever wants to rehearse them.

    curl -X POST $HF_ENDPOINT/lidr/faults -H "Authorization: Bearer $HF_TOKEN" \\
         -d '{"match": "/commit/", "method": "POST", "status": 500, "after": true}'

Each fault is used up by the requests that it hits:

    match       regular expression, searched in the raw path, for at most 50 ms; method: of the request; default: any
    skip        so many matching requests pass first;  times: how many it then hits (default 1; null: all)
    chance      of hitting a matching request, 0-1; seed: of those draws
    delay       seconds to wait before anything else happens
    status, headers, body     the answer instead of the real one (body: text, or JSON)
    after       do the work first, then answer so: the answer is lost, the work is done
    drop_after  cut the connection after so many bytes of the real answer's body
"""

from __future__ import annotations

import asyncio
import json
import math
import random
import re
import threading
from dataclasses import dataclass, field
from types import NoneType
from typing import Any

import regex  # type: ignore[import-untyped]
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lidr.hub_server.refusal import Refusal

_NEVER = ("/lidr/faults", "/lidr/health", "/lidr/collect")  # or a list of faults could not be forgotten any more


_LONGEST_DELAY_S, _LONGEST_MATCH, _MATCH_S = 600.0, 500, 0.05
_MOST = 1000
_HEADER_NAME = re.compile(r"(?!(?i:content-length|transfer-encoding|connection)$)[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_HEADER_VALUE = re.compile(r"[\x20-\x7e\xa0-\xff]{0,2000}")
_NUMBER, _MAYBE = (int, float), (int, NoneType)
_TYPES: dict[str, tuple[type, ...]] = {
    "match": (str,),
    "method": (str, NoneType),
    "times": _MAYBE,
    "skip": (int,),
    "chance": _NUMBER,
    "seed": (int,),
    "delay": _NUMBER,
    "status": _MAYBE,
    "headers": (dict,),
    "after": (bool,),
    "drop_after": _MAYBE,
    "hits": (int,),
}


class ConnectionCut(Exception):
    """Raised inside the application so that the server closes the connection."""


@dataclass
class Fault:
    """One entry of the list."""

    match: str = ""
    method: str | None = None
    times: int | None = 1
    skip: int = 0
    chance: float = 1.0
    seed: int = 0
    delay: float = 0.0
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    body: Any = None
    after: bool = False
    drop_after: int | None = None
    hits: int = 0

    def __post_init__(self) -> None:
        for name, allowed in _TYPES.items():
            if not isinstance(getattr(self, name), allowed):
                raise TypeError(f"{name}={getattr(self, name)!r}")
        if self.status is not None and not 200 <= self.status <= 599:
            raise TypeError(f"status={self.status}")
        if not (0 <= self.delay <= _LONGEST_DELAY_S and math.isfinite(self.chance)):
            raise TypeError(f"delay={self.delay!r}, chance={self.chance!r}")
        if any(value is not None and not 0 <= value < 2**63 for value in (self.times, self.skip, self.drop_after)):
            raise TypeError("times, skip and drop_after must be numbers from 0")
        for name, value in self.headers.items():
            if not _HEADER_NAME.fullmatch(name) or not _HEADER_VALUE.fullmatch(str(value)):
                raise TypeError(f"headers: {name[:60]!r}")
        if len(self.match) > _LONGEST_MATCH:
            raise TypeError(f"match has more than {_LONGEST_MATCH} characters")
        self._random = random.Random(self.seed)
        self._pattern = regex.compile(self.match)

    def hit(self, method: str, path: str) -> bool:
        """Does it hit this request? Counts it if so."""
        if self.times == 0 or (self.method or method) != method or not self._fits(path):
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        if self._random.random() >= self.chance:
            return False
        self.hits += 1
        if self.times is not None:
            self.times -= 1
        return True

    def _fits(self, path: str) -> bool:
        try:
            return self._pattern.search(path, timeout=_MATCH_S) is not None
        except TimeoutError:
            return False

    def content(self) -> bytes:
        """The body of the answer instead of the real one."""
        if isinstance(self.body, str):
            return self.body.encode()
        return json.dumps({"error": f"injected {self.status}"} if self.body is None else self.body).encode()


class Faults:
    """The list, changed at run time."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._lock = threading.Lock()

    def add(self, raw: Any) -> None:
        """Add one fault or a list of them."""
        try:
            faults = [Fault(**item) for item in (raw if isinstance(raw, list) else [raw])]
        except (TypeError, ValueError, OverflowError, RecursionError, MemoryError, regex.error) as error:
            raise Refusal(400, f"No fault: {str(error)[:300]}; see lidr/hub_server/faults.py for the knobs") from None
        with self._lock:
            if len(self._faults) + len(faults) > _MOST:
                raise Refusal(413, f"At most {_MOST} faults are kept; forget those that are there first")
            self._faults += faults

    def clear(self) -> None:
        """Forget all."""
        with self._lock:
            self._faults = []

    def all(self) -> list[dict[str, Any]]:
        """The list as JSON, with how often each has hit."""
        knobs = Fault.__dataclass_fields__
        return [{name: getattr(fault, name) for name in knobs} for fault in self._faults]

    def take(self, method: str, path: str) -> Fault | None:
        """The first fault that hits this request."""
        with self._lock:
            return next((fault for fault in self._faults if fault.hit(method, path)), None)


class FaultyApp:
    """The application with the faults in front of it."""

    def __init__(self, app: ASGIApp, faults: Faults) -> None:
        self._app, self._faults = app, faults

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or fail at it as told."""
        path = scope.get("raw_path", b"").decode("latin-1")
        fault = None
        if scope["type"] == "http" and not path.startswith(_NEVER):
            fault = self._faults.take(scope["method"], path)
        if fault is None:
            await self._app(scope, receive, send)
            return
        if fault.delay:
            await asyncio.sleep(fault.delay)
        if fault.drop_after is not None:
            await self._app(scope, receive, _cut(send, fault.drop_after))
        elif fault.status is None:
            await self._app(scope, receive, send)
        else:
            if fault.after:
                await self._app(scope, receive, _swallow)
            await _instead(fault, receive, send, is_read=fault.after)


async def _swallow(message: Message) -> None:
    """The answer goes nowhere."""


def _cut(send: Send, limit: int) -> Send:
    left = limit

    async def limited(message: Message) -> None:
        nonlocal left
        if message["type"] != "http.response.body":
            await send(message)
            return
        body = message.get("body", b"")
        if len(body) < left:
            left -= len(body)
            await send(message)
            return
        await send({"type": "http.response.body", "body": body[:left], "more_body": True})
        raise ConnectionCut

    return limited


async def _instead(fault: Fault, receive: Receive, send: Send, *, is_read: bool) -> None:
    more = not is_read
    while more:  # a client that is still sending would see a reset connection instead of the answer
        message = await receive()
        more = message["type"] == "http.request" and message.get("more_body", False)
    content = fault.content()
    headers = {"content-type": "application/json", "content-length": str(len(content)), **fault.headers}
    raw = [(name.lower().encode("latin-1"), str(value).encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": fault.status, "headers": raw})
    await send({"type": "http.response.body", "body": content})
