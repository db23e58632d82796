"""Which process does a piece of work, and whether it still lives: also told where a store is shared by machines."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any


def this_process() -> dict[str, Any]:
    """The id of this process, and where it counts: the machine's name, and its start and process namespace."""
    return {"pid": os.getpid(), **_here()}


def is_alive(process: Mapping[str, Any]) -> bool | None:
    """Whether a process, as `this_process` gave it, still lives; None where it cannot be seen from here: it is of
    another machine or container, or an earlier lidr did not say of which.
    """
    if {name: process.get(name) for name in _here()} != _here() or not isinstance(process.get("pid"), int):
        return None
    try:
        os.kill(process["pid"], 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _here() -> dict[str, str]:
    """What no two machines or containers share; where /proc is not, the name alone."""
    parts = []
    with suppress(OSError):
        parts = [Path("/proc/sys/kernel/random/boot_id").read_text().strip(), os.readlink("/proc/self/ns/pid")]
    return {"host": socket.gethostname(), "space": " ".join(parts)}
