"""A judge on loopback whose answers follow from the question alone, so two clients that ask the same hear the same.

Only the standard library: it also runs in alpaca_eval's environment.

    SHA-256 of the messages --> one of: two log-probabilities, `m` alone, an even split, `m` missing, neither
                                or, where no log-probabilities are wanted, a mark of 0 to 10, or no mark
"""

from __future__ import annotations

import hashlib
import json
import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def first_token(messages: list[dict]) -> list[dict]:
    """The likeliest first tokens of the answer to these messages."""
    digest = hashlib.sha256(json.dumps(messages, sort_keys=True).encode()).digest()
    p = (int.from_bytes(digest[:4], "big") + 1) / (2**32 + 2)
    kind = digest[4] % 10
    m, other = {"token": "m", "logprob": math.log(p)}, {"token": "M", "logprob": math.log(1 - p)}
    if kind == 0:
        m, other = {"token": "m", "logprob": math.log(0.5)}, {"token": "M", "logprob": math.log(0.5)}
    found = {1: [m], 2: [other], 3: []}.get(kind, [m, other])
    noise = [{"token": token, "logprob": -9.5 - place} for place, token in enumerate((" m", "Both", "M.", "The"))]
    return sorted([*found, *noise], key=lambda entry: -entry["logprob"])[:5]


def spoken_mark(messages: list[dict]) -> str:
    """An explanation and a mark; for one conversation in eight no mark."""
    digest = hashlib.sha256(json.dumps(messages, sort_keys=True).encode()).digest()
    return "I would rather not say." if digest[0] % 8 == 0 else f"Clear and short.\nMark: {digest[1] % 11}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.bodies.append(body)  # type: ignore[attr-defined]
        choice = {"index": 0, "finish_reason": "stop"}
        if body.get("logprobs"):
            top = [{**entry, "bytes": list(entry["token"].encode())} for entry in first_token(body["messages"])]
            choice["message"] = {"role": "assistant", "content": top[0]["token"]}
            choice["logprobs"] = {"content": [{**top[0], "top_logprobs": top}]}
        else:
            choice["message"] = {"role": "assistant", "content": spoken_mark(body["messages"])}
        answer = {
            "id": "judge-1",
            "object": "chat.completion",
            "created": 0,
            "model": body["model"],
            "choices": [choice],
            "usage": {"prompt_tokens": 10, "completion_tokens": 1, "total_tokens": 11},
        }
        sent = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(sent)))
        self.end_headers()
        self.wfile.write(sent)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.bodies: list[dict] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


@contextmanager
def judge_server() -> Iterator[_Server]:
    """Serve until the block ends; `url` is its base URL, `bodies` all requests so far."""
    server = _Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
