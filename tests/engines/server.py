"""A loopback server that answers chat completions by a script of faults."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


@dataclass(frozen=True)
class Reply:
    """What the server answers once. `cut` promises a longer body than it sends; `delay_s` is waited first, `drip_s`
    before each byte.
    """

    status: int = 200
    body: str | bytes = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: bool = False
    delay_s: float = 0.0
    drip_s: float = 0.0


def completion(text: str | None = "Honey.", finish_reason: str | None = "stop", **rest: Any) -> Reply:
    """A well-formed chat completion."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish_reason}
    usage = {"prompt_tokens": 11, "completion_tokens": 5, "total_tokens": 16}
    return Reply(body=json.dumps({"object": "chat.completion", "choices": [choice], "usage": usage}), **rest)


class Server:
    """Serves `reply(body, number)` for each request, numbered from 0; keeps what it was sent."""

    def __init__(self, reply: Callable[[dict[str, Any], int], Reply], *, models: Sequence[Mapping] = ()) -> None:
        """`models`: what GET /v1/models lists; where it lists none, there is no such address."""
        self._reply, self._lock, self._open = reply, threading.Lock(), 0
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[Mapping[str, str]] = []
        self.paths: list[str] = []
        self.times: list[float] = []
        self.peak = 0  # requests open at once
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                owner._serve(self)

            def do_GET(self) -> None:
                content = json.dumps({"object": "list", "data": list(models)}).encode()
                self.send_response(200 if models else 404)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None: ...

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}/v1"

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        body = json.loads(handler.rfile.read(int(handler.headers["Content-Length"])))
        with self._lock:
            number = len(self.bodies)
            self.bodies.append(body)
            self.headers.append(dict(handler.headers.items()))
            self.paths.append(handler.path)
            self.times.append(time.monotonic())
            self._open += 1
            self.peak = max(self.peak, self._open)
        reply = self._reply(body, number)
        time.sleep(reply.delay_s)
        with self._lock:
            self._open -= 1
        content = reply.body if isinstance(reply.body, bytes) else reply.body.encode()
        handler.send_response(reply.status)
        for name, value in {"Content-Length": str(len(content) + 9 * reply.cut), **reply.headers}.items():
            handler.send_header(name, value)
        handler.end_headers()
        with suppress(OSError):  # who asked may have had enough
            for part in [bytes([byte]) for byte in content] if reply.drip_s else [content]:
                time.sleep(reply.drip_s)
                handler.wfile.write(part)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()
