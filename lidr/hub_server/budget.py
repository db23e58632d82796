"""Time that one request may take of the processor, for work whose length a client decides."""

from __future__ import annotations

import time

from lidr.hub_server.refusal import Refusal


class Budget:
    """So much CPU time of this thread; `check` refuses what goes on after it."""

    def __init__(self, seconds: float, what: str) -> None:
        """Begin to count; `what` is said in the refusal."""
        self._end, self._seconds, self._what = time.thread_time() + seconds, seconds, what

    @property
    def is_spent(self) -> bool:
        """Whether nothing is left."""
        return time.thread_time() > self._end

    def check(self) -> None:
        """Refuse to go on once the time is spent."""
        if self.is_spent:
            raise Refusal(422, f"Too much to do for one request: {self._what} took more than {self._seconds:.0f} s")
