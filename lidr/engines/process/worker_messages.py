"""Requests and answers as JSON, for the pipe between a worker and its parent.

parent    {"open": {EngineSpec}, "by": "MODULE:CALLABLE", "flows": false, "log": FILE}
          then {"ask": FILE}
worker    {"completion": {...}} or {"failure": {...}} for each request

Requests stand in a file, which grows while they are answered: one {ChatRequest} in a line, {"heard": N} where there is
none for now after N answers, null at the end.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lidr.engines.arrivals import LOOK_S, WINDOW
from lidr.engines.engine import ChatRequest, Completion, Failure, Sampling


def encode_requests(requests: Iterable[ChatRequest]) -> list[dict[str, Any]]:
    """Turn requests into plain data."""
    return [asdict(request) for request in requests]


def decode_requests(items: Iterable[Mapping[str, Any]]) -> list[ChatRequest]:
    """Turn what `encode_requests` made into requests again."""
    return [
        ChatRequest(
            key=item["key"],
            messages=tuple(item["messages"]),
            sampling=Sampling(**{**item["sampling"], "stop": tuple(item["sampling"]["stop"])}),
            prefill=item["prefill"],
            direction=tuple(item["direction"]) if item["direction"] else None,
        )
        for item in items
    ]


class RequestWriter:
    """The parent's side of the file: never more than `AHEAD` requests before the answers, since each is held there."""

    AHEAD = 2 * WINDOW

    def __init__(self, path: Path, requests: Iterable[ChatRequest | None]) -> None:
        """Open the file, and write as many as may be ahead."""
        self._file = path.open("w", encoding="utf-8")
        self._requests = iter(requests)
        self._is_over = False
        self.written = self._heard = 0
        self._go_on()

    def hear(self) -> None:
        """Write more: one more answer was taken."""
        self._heard += 1
        self._go_on()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _go_on(self) -> None:
        lines: list[str] = []
        while self.written - self._heard < self.AHEAD and not self._is_over:
            try:
                request = next(self._requests)
            except StopIteration:
                self._is_over = True
                lines.append("null")
                break
            if request is None:
                lines.append(json.dumps({"heard": self._heard}))
                break
            self.written += 1
            lines.append(json.dumps(asdict(request)))
        if lines:
            self._file.write("\n".join(lines) + "\n")
            self._file.flush()


def read_requests(path: Path, answered: Callable[[], int], *, flows: bool) -> Iterator[ChatRequest | None]:
    """Read what a `RequestWriter` writes, each when it is wanted.

    Args:
        path: the file.
        answered: how many answers were sent to the parent.
        flows: as of an engine's row: say None at the end of what is written; else only when the parent has taken every
            answer and has no more for now, and wait until then.
    """
    with path.open(encoding="utf-8") as file:
        line = ""
        while True:
            line += file.readline()
            if not line.endswith("\n"):
                if flows:
                    yield None
                else:
                    time.sleep(LOOK_S)
                continue
            item, line = json.loads(line), ""
            if item is None:
                return
            if "heard" not in item:
                yield from decode_requests([item])
            elif item["heard"] == answered() and not flows:
                yield None


def encode_result(result: Completion | Failure) -> dict[str, Any]:
    """Turn an answer into plain data."""
    return {"completion" if isinstance(result, Completion) else "failure": asdict(result)}


def decode_result(item: Mapping[str, Any]) -> Completion | Failure:
    """Turn what `encode_result` made into an answer again."""
    if "failure" in item:
        return Failure(**item["failure"])
    fields = item["completion"]
    return Completion(**{**fields, "token_ids": tuple(fields["token_ids"])})
