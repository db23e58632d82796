"""Ends the processes of lidr's own Ray when lidr is gone, however it ended: Ray's agents notice, but late.

python -m lidr.engines.replicas.warden PID:STARTED ...        waits until its standard input closes
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path


def watch(pids: Iterable[int]) -> subprocess.Popen[bytes]:
    """Start it for these processes; closing its standard input ends them."""
    words = [f"{pid}:{started}" for pid in pids if (started := _started(pid))]
    command = [sys.executable, "-m", "lidr.engines.replicas.warden", *words]
    return subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)


def _started(pid: int) -> str:
    """When a process was started: what tells it from another that has its number now. Empty where there is no /proc."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return ""


def _main() -> None:
    sys.stdin.read()
    for word in sys.argv[1:]:
        pid, _, started = word.partition(":")
        if _started(int(pid)) == started:
            with contextlib.suppress(OSError):
                os.kill(int(pid), signal.SIGKILL)


if __name__ == "__main__":
    _main()
