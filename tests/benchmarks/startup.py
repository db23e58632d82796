"""What the quick commands cost before they say anything: ratios of CPU time in one run; never a time alone.

    python -m tests.benchmarks.startup [ROUNDS]        default 15

Each start is compared with `python -c "import pydantic, yaml"`. That imports little: pydantic loads its parts when they
are first used, so a program with one typed setting, which is measured beside the commands, takes more than twice as
long. Starts alternate, so that other work on the machine meets all of them alike; medians of user and system time are
compared, and byte code is compiled before anything is measured. MOST holds the largest ratio that passes.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
from tempfile import TemporaryDirectory

from lidr.resources import shared

PAPER = str(shared("recipes") / "llama3-8b" / "instruct.yaml")
BARE = ["-c", "import pydantic, yaml"]
ONE_SETTING = """
import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator
class Recipe(BaseModel):
    name: str = Field("", min_length=1)
Recipe.model_validate(yaml.safe_load("name: one"))
"""
LIDR = ["-m", "lidr.cli.main"]
STARTS = {
    "a program with one typed setting": ["-c", ONE_SETTING],
    "lidr --help": [*LIDR, "--help"],
    "lidr validate, the paper's recipe": [*LIDR, "validate", PAPER],
    "lidr plan, the paper's recipe": [*LIDR, "plan", PAPER],
}
MOST = {
    "lidr --help": 1.5,
    "lidr validate, the paper's recipe": 6.0,
    "lidr plan, the paper's recipe": 6.0,
}


def spent(arguments: list[str], compiled: str) -> float:
    """CPU seconds of one start of Python, which keeps its byte code in the folder `compiled`."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, *arguments],
        check=True,
        env={**environment, "PYTHONPYCACHEPREFIX": compiled},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def medians(rounds: int) -> tuple[float, dict[str, float]]:
    """The bare import, and each start as a multiple of it."""
    times: dict[str, list[float]] = {name: [] for name in ("", *STARTS)}
    with TemporaryDirectory() as compiled:
        for number in range(rounds + 1):
            for name, arguments in {"": BARE, **STARTS}.items():
                seconds = spent(arguments, compiled)
                if number:
                    times[name].append(seconds)
    bare = statistics.median(times.pop(""))
    return bare, {name: statistics.median(found) / bare for name, found in times.items()}


def main(rounds: int) -> bool:
    """Print the ratios; whether all are within bounds."""
    bare, ratios = medians(rounds)
    print(f"bare import of pydantic and yaml: {bare:.3f} s of CPU time, median of {rounds}")
    for name, ratio in ratios.items():
        print(f"{name:34} {ratio:5.2f} times" + (f", at most {MOST[name]}" if name in MOST else ""))
    return all(ratios[name] <= most for name, most in MOST.items())


if __name__ == "__main__":
    sys.exit(0 if main(int(sys.argv[1]) if len(sys.argv) > 1 else 15) else 1)
