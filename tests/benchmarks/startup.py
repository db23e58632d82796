"""How long the quick commands take: median of ten starts each, in seconds, on whatever this machine is.

python -m tests.benchmarks.startup
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

from lidr.resources import shared

PAPER = str(shared("recipes") / "llama3-8b" / "instruct.yaml")
COMMANDS = {
    "lidr --help": ["--help"],
    "lidr validate": ["validate", str(shared("recipes") / "quickstart.yaml")],
    "lidr plan, the paper's recipe": ["plan", PAPER],
}


def seconds(arguments: list[str]) -> float:
    """One start."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-m", "lidr.cli.main", *arguments], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


if __name__ == "__main__":
    for name, arguments in COMMANDS.items():
        times = [seconds(arguments) for _ in range(10)]
        print(f"{name:32} median {statistics.median(times):.2f} s, slowest {max(times):.2f} s")
