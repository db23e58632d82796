"""Whether a server has fallen silent: requests wait, and for a while none has got an answer that can be used.

One slow answer among others is no silence; faults that may pass, and what is no chat completion, do not end one. It is
told as a warning of the logger `lidr.servers`, whose record has
`silent_since` (seconds since the epoch), and again each time that it has lasted twice as long.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from lidr.retry import Retry

_LOG = logging.getLogger("lidr.servers")
_LOOK_S = 1.0


class Silence:
    """Watches the requests of one client while there are any."""

    def __init__(self, server: str, retry: Retry, setting: str) -> None:
        """Watch nothing yet.

        Args:
            server: its URL.
            retry: how long an answer may take, how often it is asked for, and after how long silence is told.
            setting: the user's name for the first of these.
        """
        self._server, self._retry, self._setting = server, retry, setting
        self._lock, self._open, self._watches = threading.Lock(), 0, False
        self._since, self._is_heard, self._fault = 0.0, True, ""
        self._told_after = retry.told_after_s

    @contextmanager
    def waiting(self) -> Iterator[Callable[[], None]]:
        """One request, with all its tries: within the block it waits for its answer; what is yielded says that this has
        come.
        """
        with self._lock:
            if not self._open and self._is_heard:  # what was given up and is asked again has waited all the while
                self._since, self._is_heard, self._fault = time.monotonic(), False, ""
            self._open += 1
            starts = not self._watches and self._told_after is not None
            self._watches |= starts
        if starts:
            threading.Thread(target=self._watch, daemon=True).start()
        try:
            yield self._heard
        finally:
            with self._lock:
                self._open -= 1

    def met(self, fault: str) -> None:
        """A try has ended in this."""
        with self._lock:
            self._fault = fault

    def _heard(self) -> None:
        with self._lock:
            self._since, self._is_heard, self._fault = time.monotonic(), True, ""

    def _watch(self) -> None:
        assert self._told_after is not None
        while True:
            time.sleep(min(_LOOK_S, self._told_after / 4))
            with self._lock:
                if not self._open:
                    self._watches = False
                    return
                silent_s, waiting, fault = time.monotonic() - self._since, self._open, self._fault
                if silent_s < self._told_after:
                    continue
                self._told_after = 2 * silent_s
            _LOG.warning(
                "%s has answered nothing%s for %.0f s; %s waiting%s. A request is given up after %g s (%s) and asked "
                "again, up to %d times in all. What is finished is kept: the same command goes on from there",
                self._server,
                " that can be used" if fault else "",
                silent_s,
                "one request is" if waiting == 1 else f"{waiting:,} requests are",
                f"; the last fault: {fault}" if fault else "",
                self._retry.timeout_s,
                self._setting,
                self._retry.attempts,
                extra={"silent_since": time.time() - silent_s},
            )
