"""A rank that fails as the message says: python -m tests.worker.failing_rank SOCKET."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any

from lidr.errors import RowError
from lidr.worker import serve_rank


def handle(message: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """What this rank does, by `message[RANK]`."""
    what = message[os.environ["RANK"]]
    if what == "raises":
        raise NotImplementedError("this operator cannot be shared")
    if what == "is refused":
        time.sleep(0.5)  # after the cry of the other
        raise RowError("row 3 is empty")
    if what == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "loses the other":
        time.sleep(1)
        raise RuntimeError("connection closed by peer")
    if what == "ends what it forks":
        child = os.fork()
        if child == 0:
            time.sleep(60)
        time.sleep(0.2)
        os.kill(child, signal.SIGTERM)
        raise RuntimeError(f"the child ended by {os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}")
    time.sleep(60)  # waits for the other, until it is ended
    yield {"result": None}


if __name__ == "__main__":
    if os.environ["RANK"] == os.environ.get("LATE_RANK"):
        time.sleep(3)
    sys.exit(serve_rank(sys.argv[1], handle))
