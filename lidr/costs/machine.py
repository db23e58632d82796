"""What kind of machine this is: a rate that was measured on one says nothing of another."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path


@dataclass(frozen=True)
class Machine:
    """A machine, as far as it decides how fast something is.

    Args:
        cards: names of its graphics cards, as their driver says them; empty where none can be used.
        processor: the name of its CPU.
        cpus: how many of them.
    """

    cards: tuple[str, ...]
    processor: str
    cpus: int

    @property
    def kind(self) -> str:
        """What rates are kept for: the first card's name, or the processor and how many there are."""
        return self.cards[0] if self.cards else f"{self.processor}, {self.cpus} CPUs"


@cache
def this_machine() -> Machine:
    """The machine that this process runs on, looked at once."""
    return Machine(_cards(), _processor(), os.cpu_count() or 1)


def main_memory() -> int:
    """Bytes of this machine's main memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _cards() -> tuple[str, ...]:
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1") or shutil.which("nvidia-smi") is None:
        return ()
    asked = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    try:
        said = subprocess.run(asked, capture_output=True, text=True, timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return ()
    return tuple(line.strip() for line in said.splitlines() if line.strip())


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, "") or platform.processor() or platform.machine()
