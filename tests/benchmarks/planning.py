"""What planning costs beside many other artifacts: ratios of CPU time in one run, and peak memory; never a time alone.

    python -m tests.benchmarks.planning [ARTIFACTS]        default 10000

A scripted recipe is run to its end in a store that holds so many artifacts of other recipes and of other versions of
its own. Goals: a rerun that makes nothing takes at most 1.5 times the CPU time of `lidr validate` of the same recipe,
and less than 200 MB; so does `lidr status`. A recipe with four times the iterations takes at most 6 times as long to
validate, the start of the process left out.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

GOAL_RATIO = 1.5
GOAL_MB = 200
ROUNDS = 5


def fill(root: Path, folder: Path, artifacts: int) -> None:
    """Write artifacts that nothing takes over, made like those of a finished run: half are other versions of its
    recipe, half are of other recipes.

    Args:
        root: of the store.
        folder: a version of a recipe that has been run.
        artifacts: how many; whole versions are written, the last cut short.
    """
    from lidr.store import fingerprint, read_record, write_json

    made = [(path.parent, read_record(path.parent)) for path in sorted(folder.glob("iter_*/*/record.json"))]
    written = 0
    for number in range(artifacts):
        for source, record in made:
            if written == artifacts:
                return
            assert record is not None
            name = record.recipe if number % 2 else f"other-{number:05d}"
            version = f"9.{number}.0"
            identity = {**record.identity, "config": {"other": number}}
            inputs = {
                key: {**one, "fingerprint": str(identity["inputs"].get(key))} for key, one in record.inputs.items()
            }
            other = replace(
                record,
                recipe=name,
                version=version,
                identity=identity,
                fingerprint=fingerprint(identity),
                inputs=inputs,
            )
            target = root / name / version / record.place
            for entry in record.files:
                (target / entry.path).parent.mkdir(parents=True, exist_ok=True)
                os.link(source / entry.path, target / entry.path)
            target.mkdir(parents=True, exist_ok=True)
            _write_unsynced(target, asdict(other), write_json)
            written += 1


def _write_unsynced(folder: Path, content: dict[str, Any], write_json: Any) -> None:
    """The record as lidr writes it, without waiting for the disk: 10,000 waits take minutes."""
    sync, os.fsync = os.fsync, lambda descriptor: None
    try:
        write_json(folder / "record.json", content, sealed=True)
    finally:
        os.fsync = sync


def spent(arguments: list[str]) -> tuple[float, float]:
    """CPU seconds and peak MB of one `lidr` command in a process of its own."""
    code = (
        "import json, resource, sys\nfrom lidr.cli.main import main\n"
        "try:\n code = main(sys.argv[1:])\nexcept SystemExit as end:\n code = end.code\n"
        "use = resource.getrusage(resource.RUSAGE_SELF)\n"
        "print(json.dumps([use.ru_utime + use.ru_stime, use.ru_maxrss / 1000]), file=sys.stderr)\nsys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    seconds, megabytes = json.loads(done.stderr.strip().splitlines()[-1])
    return seconds, megabytes


def many_iterations(recipe: Path, count: int) -> Path:
    """The recipe with so many iterations, written beside it."""
    text = recipe.read_text(encoding="utf-8")
    head, _, rest = text.partition("iterations:\n")
    tail = rest[rest.index("runtime:") :]
    path = recipe.with_name(f"iterations-{count}.yaml")
    lines = "".join(f'  - prompts: "{4 * k}:{4 * k + 4}"\n' for k in range(count))
    path.write_text(f"{head}iterations:\n{lines}{tail}", encoding="utf-8")
    return path


def cpu_of_reading(recipe: Path) -> float:
    """CPU seconds of reading a recipe in this process, the fastest of three."""
    from lidr.pipeline import load_recipe

    def once() -> float:
        began = resource.getrusage(resource.RUSAGE_SELF).ru_utime
        load_recipe(recipe)
        return resource.getrusage(resource.RUSAGE_SELF).ru_utime - began

    return min(once() for _ in range(3))


def finished_beside(folder: Path, artifacts: int) -> Path:
    """A finished scripted run beside other artifacts; returns its recipe."""
    from tests.scripted import write_world

    recipe = write_world(folder / "world")
    spent(["run", str(recipe), "--quiet"])
    store = folder / "world" / "runs"
    fill(store, store / "scripted" / "0.1.0", artifacts)
    return recipe


def compared(recipe: Path, rounds: int = ROUNDS) -> dict[str, tuple[float, float, float]]:
    """For `run` and `status`: median CPU seconds, their ratio to `validate` in the same rounds, and peak MB."""
    words = {
        name: [name, str(recipe), *(["--quiet"] if name == "run" else [])] for name in ("validate", "run", "status")
    }
    for arguments in words.values():  # the store's index is written, files are in the system's cache
        spent(arguments)
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in words}
    for _ in range(rounds):
        for name, arguments in words.items():
            found[name].append(spent(arguments))
    seconds = {name: statistics.median(s for s, _ in values) for name, values in found.items()}
    return {
        name: (seconds[name], seconds[name] / seconds["validate"], max(mb for _, mb in values))
        for name, values in found.items()
    }


def main(artifacts: int) -> bool:
    """Print the ratios; whether all goals are met."""
    with TemporaryDirectory() as name:
        recipe = finished_beside(Path(name), artifacts)
        first = spent(["plan", str(recipe), "--set", "version=0.2.0", "--set", "seed=7"])
        again = spent(["plan", str(recipe), "--set", "version=0.2.0", "--set", "seed=7"])
        found = compared(recipe)
        few, many = (cpu_of_reading(many_iterations(recipe, count)) for count in (50, 200))
        shutil.rmtree(name, ignore_errors=True)
    print(f"beside {artifacts:,} other artifacts, CPU time, median of {ROUNDS}:")
    for command, (seconds, ratio, megabytes) in found.items():
        print(f"  lidr {command:10} {seconds:6.2f} s  {ratio:5.2f} times validate  {megabytes:4.0f} MB")
    print(f"  lidr plan of a new version, first / again: {first[0]:.2f} / {again[0]:.2f} s, {first[1]:.0f} MB")
    print(f"reading a recipe of 50 / 200 iterations: {few:.3f} / {many:.3f} s, {many / few:.1f} times")
    told = [ratio <= GOAL_RATIO and megabytes < GOAL_MB for _, ratio, megabytes in found.values()]
    return all(told) and many <= 6 * few


if __name__ == "__main__":
    sys.exit(0 if main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000) else 1)
