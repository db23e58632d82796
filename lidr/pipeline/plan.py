"""Make a recipe concrete: every step of every iteration, its inputs, its fingerprint, and what the store has of it."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from lidr.errors import PlanError
from lidr.recipe.schema import Recipe
from lidr.steps import STEPS
from lidr.steps.kind import Expected, InitialPolicy, Policy, Scale, StepKind, Surroundings, Unresolved
from lidr.store.fingerprint import difference, fingerprint
from lidr.store.lock_file import read_lock
from lidr.store.record import read_record
from lidr.store.store import Store, partial_identity

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

    def making_anew(self, places: Collection[str]) -> Plan:
        """The same plan, with the steps at these places made, not taken over from another version."""
        steps = (replace(s, state="new") if s.place in places and s.state == "taken over" else s for s in self.steps)
        return replace(self, steps=tuple(steps))

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
