"""Requests that come while others are answered: what an engine takes of such a stream at a time.

>>> stream = Arrivals(iter([None, None]))
>>> stream.take(8, waits=False), stream.is_over
([], False)
"""

from __future__ import annotations

import time
from collections.abc import Iterable

from lidr.engines.engine import ChatRequest

WINDOW = 2048
"""Requests that an engine sorts by length at once."""

LOOK_S = 0.02
"""So long an engine that has nothing to do waits before it looks again."""


class Arrivals:
    """A stream of requests, and whether it has ended. None in it: no more for now, ask again after the next answers."""

    def __init__(self, requests: Iterable[ChatRequest | None]) -> None:
        """Take nothing yet."""
        self._requests = iter(requests)
        self.is_over = False

    def take(self, most: int, *, waits: bool = True) -> list[ChatRequest]:
        """The next requests.

        Args:
            most: of them.
            waits: for a first one: for an engine that has nothing else to do.

        Returns:
            Those that are there; with `waits` none only if the stream is over.
        """
        found: list[ChatRequest] = []
        while len(found) < most and not self.is_over:
            try:
                request = next(self._requests)
            except StopIteration:
                self.is_over = True
                break
            if request is not None:
                found.append(request)
            elif found or not waits:
                break
            else:
                time.sleep(LOOK_S)
        return found
