"""Releases that somebody changed, read in every way; and runs whose records were, reported.

ended well    a verdict, a page, or an error that says what is wrong
missed        another error, more than ten seconds of CPU time, or something written outside the work folder
"""

from __future__ import annotations

import contextlib
import io
import json
import random
import shutil
import signal
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.damaged_files import Trial
from tests.reproduce.damage import LONGEST_S, PLAIN, changed_json, places, too_long, try_one

WANTED = 3000
REPORT_EVERY = 8
"""Of so many trials one is a run's record, read by `lidr report`; one more is a release with evaluations."""


def trials(folder: Path, numbers: Sequence[int]) -> Iterator[Trial]:
    """Trials by their numbers, each with a seed of its own."""
    from lidr.release.dataset_release import stage_dataset
    from tests.publishing import failing_world, finished
    from tests.reproduce.conftest import with_evaluations

    recipe = failing_world(folder / "w")
    run = finished(recipe)
    for name, found in (("plain", run), ("scored", with_evaluations(run, folder / "evaluations"))):
        release = stage_dataset(found, folder / name, "lidr/others")
        (folder / name / "README.md").write_text(release.card(None), encoding="utf-8")
    (folder / "work").mkdir()
    for number in numbers:
        how = number % REPORT_EVERY
        if how == 0:
            yield _report(recipe, folder, number)
            continue
        base = folder / ("scored" if how == 1 else "plain")
        with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()):
            odd = try_one(base, folder / "work/tried", 100_000 + number, patch)
        kind = "release with evaluations" if how == 1 else "release"
        yield Trial(kind, "missed" if odd else "ended well", "", odd or "")


def _report(recipe: Path, folder: Path, number: int) -> Trial:
    """One place of one record changed, with a checksum that fits or without; then the page."""
    draw = random.Random(f"report {number}")
    shutil.rmtree(folder / "work/store", ignore_errors=True)
    shutil.copytree(recipe.parent / "runs", folder / "work/store")
    records = [*sorted((folder / "work/store").rglob("record.json")), *(folder / "work/store").glob("*/*/run.json")]
    path = draw.choice(records)
    content = json.loads(path.read_text(encoding="utf-8"))
    where = f"{path.parent.name}/{path.name}"
    if draw.random() < 0.7:
        _reseal(path, content, draw)
    else:
        path.write_text(changed_json(content, draw), encoding="utf-8")
    before = signal.signal(signal.SIGVTALRM, too_long)
    signal.setitimer(signal.ITIMER_VIRTUAL, LONGEST_S)
    try:
        return Trial("run that is reported", "ended well", where, _paged(recipe, folder / "work/store"))
    except Exception as error:
        at = traceback.extract_tb(error.__traceback__)[-1]
        said = f"trial {number}: {type(error).__name__}: {str(error)[:200]} at {Path(at.filename).name}:{at.lineno}"
        return Trial("run that is reported", "missed", where, said)
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def _reseal(path: Path, content: dict[str, Any], draw: random.Random) -> None:
    """Another value somewhere, and the checksum of the whole as it is now."""
    from lidr.store.sealed_json import write_json

    content.pop("checksum", None)
    at = draw.choice([*places(content)][1:])
    parent = content
    for key in at[:-1]:
        parent = parent[key]
    if draw.random() < 0.2:
        del parent[at[-1]]
    else:
        parent[at[-1]] = draw.choice(PLAIN)
    write_json(path, content, sealed=True)


def _paged(recipe: Path, store: Path) -> str:
    """Write the page as `lidr report` does; what came out."""
    import lidr
    from lidr.cli.report import show
    from lidr.errors import LidrError
    from lidr.report import as_json, page, run_state_of

    try:
        run = run_state_of(lidr.load_recipe(recipe, overrides=[f"runtime.store={store}"]))
        json.dumps(as_json(run), allow_nan=True)
        with contextlib.redirect_stdout(io.StringIO()):
            show(run)
        return f"{len(page(run)) // 1000} kB"
    except LidrError as error:
        return f"{type(error).__name__}: {str(error)[:100]}"
