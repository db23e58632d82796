"""Make a recipe concrete: every step of every iteration, its inputs, its fingerprint, and what the store has of it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from lidr.errors import PlanError, StoreError
from lidr.pipeline.drift import drift_of, other_inputs
from lidr.recipe.schema import Recipe
from lidr.steps import STEPS
from lidr.steps.kind import Expected, InitialPolicy, Policy, Scale, StepKind, Surroundings, Unresolved
from lidr.store.fingerprint import fingerprint
from lidr.store.lock_file import read_lock
from lidr.store.record import read_record
from lidr.store.store import Store, partial_identity, store_root

State = Literal["cached", "new", "resumes", "taken over", "drifted", "damaged", "unresolved", "skipped"]
DONE = ("cached", "taken over")
NOTHING_TO_DO = (*DONE, "skipped")


@dataclass(frozen=True)
class PlannedStep:
    """One step made concrete.

    Args:
        place: `iter_<k>/<step>`, its folder below the run's version.
        inputs: name of each input -> the place of the artifact that it is.
        identity: everything that can change its result; None while something outside is not here.
        state: cached: there already; new: to be made; resumes: begun by an earlier try; taken over: the same output
            stands under another version; drifted: made by other settings or from other inputs; damaged: its record
            cannot be read; unresolved: something outside is missing; skipped: the recipe leaves it out for now.
        why: what drifted, is damaged or is missing, or why it is skipped.
        digest: of the content, where the artifact is there.
        source: where a step that is taken over stands.
        seconds: how long it may take, by earlier records; None without any.
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
    digest: str | None = None
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
    """A recipe made concrete: every step of every iteration, in the order in which they run."""

    around: Surroundings
    store: Store
    steps: tuple[PlannedStep, ...]

    @property
    def recipe(self) -> Recipe:
        """The recipe it is a plan of."""
        return self.around.recipe

    @property
    def version_folder(self) -> Path:
        """Where everything of this recipe's version stands."""
        return self.store.version_folder(self.recipe.name, self.recipe.version)

    def in_state(self, *states: State) -> tuple[PlannedStep, ...]:
        """The steps in one of these states."""
        return tuple(step for step in self.steps if step.state in states)

    def folder(self, step: PlannedStep) -> Path:
        """Where the step's artifact stands, or will."""
        return self.version_folder / step.place

    def inputs(self, step: PlannedStep) -> dict[str, PlannedStep]:
        """The steps whose artifacts a step reads, by the name of the input."""
        by_place = {other.place: other for other in self.steps}
        return {name: by_place[place] for name, place in step.inputs.items()}

    def made_from(self, places: Collection[str]) -> set[str]:
        """These places, and every place that is made from them, directly or not."""
        found = set(places)
        for step in self.steps:  # inputs come before what is made from them
            if found & set(step.inputs.values()):
                found.add(step.place)
        return found

    def up_to(self, until: str | None) -> Plan:
        """The part of the plan that a run up to a step of each iteration carries out.

        A later iteration whose inputs would not be made is left out from there on.

        Raises:
            PlanError: the recipe has no such step.
        """
        if until is None:
            return self
        names = list(dict.fromkeys([*_names("run"), *_names("iteration"), *(s.name for s in self.recipe.chain)]))
        if until not in names:
            raise PlanError(f'--until "{until}": no such step in this recipe; its steps: {", ".join(names)}')
        kept: dict[str, PlannedStep] = {}
        for step in self.steps:
            if step.name in names[: names.index(until) + 1] and all(place in kept for place in step.inputs.values()):
                kept[step.place] = step
        return replace(self, steps=tuple(kept.values()))


def plan(recipe: Recipe, *, until: str | None = None, anew: Collection[str] = ()) -> Plan:
    """Make the recipe concrete and prove its whole chain, before anything runs.

    Args:
        recipe: from `lidr.load_recipe`.
        until: plan each iteration up to this step.
        anew: places whose artifacts are made, not taken over from another version.

    Raises:
        PlanError: a step needs rows that nothing before it writes; `until` names no step of the recipe.
        StoreError: the lock file is damaged, or from a newer lidr.
    """
    store = Store(store_root(recipe.runtime.store))
    locked = read_lock(store.version_folder(recipe.name, recipe.version))
    around = Surroundings(recipe, recipe.folder, locked, store.root)
    _check_order(recipe)
    planner = _Planner(around, store, frozenset(anew))
    steps: list[PlannedStep] = []
    made: dict[int, dict[str, PlannedStep]] = {number: {} for number in range(len(recipe.iterations) + 1)}
    for iteration, name in _order(recipe):
        inputs = {**made[0], **_policy_before(made, iteration), **made[iteration]}
        step = planner.concrete(iteration, name, inputs, _of_earlier(made, iteration, name))
        steps.append(step)
        made[iteration][step.kind.writes.name] = step
    return Plan(around, store, tuple(steps)).up_to(until)


def _of_earlier(made: Mapping[int, Mapping[str, PlannedStep]], iteration: int, name: str) -> dict[str, PlannedStep]:
    """What a step reads of other iterations, by the rows' name and the iteration: one of the last iteration alone
    reads all earlier ones, one that also ran at first reads what it wrote then.
    """
    kind = STEPS[name]
    if kind.at_first and iteration and kind.writes.name in made[0]:
        return {f"{kind.writes.name}_0": made[0][kind.writes.name]}
    if not kind.last_only:
        return {}
    wanted = {rows.name for rows in kind.reads}
    return {f"{rows}_{k}": made[k][rows] for k in range(1, iteration) for rows in sorted(wanted & set(made[k]))}


def _policy_before(made: Mapping[int, Mapping[str, PlannedStep]], iteration: int) -> dict[str, PlannedStep]:
    """The policy that enters an iteration: the last one trained, else the first."""
    for number in range(iteration - 1, 0, -1):
        if Policy.name in made[number]:
            return {Policy.name: made[number][Policy.name]}
    return {Policy.name: made[0][InitialPolicy.name]} if InitialPolicy.name in made[0] else {}


def _order(recipe: Recipe) -> Iterator[tuple[int, str]]:
    """What runs once, what opens the iterations (all of it, so that bad input is found early), then the chains."""
    numbers = range(1, len(recipe.iterations) + 1)
    yield from ((0, name) for name in _names("run"))
    yield from ((number, name) for number in numbers for name in _names("iteration"))
    yield from ((0, step.name) for step in recipe.chain if STEPS[step.name].at_first)
    for number in numbers:
        names = (step.name for step in recipe.chain)
        yield from ((number, name) for name in names if number == numbers[-1] or not STEPS[name].last_only)


def _names(place: str) -> list[str]:
    return [name for name, kind in STEPS.items() if kind.place == place]


def _check_order(recipe: Recipe) -> None:
    """Refuse a step that writes rows after another step has used them up: nobody would read what it writes."""
    used: dict[str, str] = {}
    for step in recipe.chain:
        kind = STEPS[step.name]
        if (user := used.get(kind.writes.name)) is not None:
            raise PlanError(
                f'chain: "{step.name}" comes after "{user}", which has used the {kind.writes.name}; put it before'
            )
        used |= {rows.name: step.name for rows in kind.reads if rows is not kind.writes and rows is not Policy}


class _Planner:
    """Makes one step after another concrete."""

    def __init__(self, around: Surroundings, store: Store, anew: frozenset[str]) -> None:
        self._around, self._store, self._anew = around, store, anew
        self._records = list(store.records())

    def concrete(
        self, iteration: int, name: str, made: Mapping[str, PlannedStep], earlier: Mapping[str, PlannedStep]
    ) -> PlannedStep:
        """One step: its inputs, its fingerprint, and what the store holds of it."""
        recipe, kind = self._around.recipe, STEPS[name]
        config = getattr(recipe, kind.section) if kind.section else _config(recipe, name)
        inputs = {**_inputs(recipe, name, kind, config, made), **earlier}
        expected = kind.expects(config, _scale(recipe, iteration))
        places = {key: source.place for key, source in inputs.items()}
        seconds = self._seconds(name, expected.count)
        step = PlannedStep(iteration, name, config, places, None, None, "unresolved", expected, seconds=seconds)
        if (reason := kind.skipped(recipe)) is not None:
            return replace(step, state="skipped", why=(reason,))
        try:
            outside = dict(kind.outside(self._around, config))
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
        step = replace(step, identity=identity, fingerprint=fingerprint(identity))
        return self._with_state(step, {key: source.digest for key, source in inputs.items()})

    def _with_state(self, step: PlannedStep, digests: Mapping[str, str | None]) -> PlannedStep:
        """Compare the step with what stands in its place."""
        recipe = self._around.recipe
        folder = self._store.folder(recipe.name, recipe.version, step.place)
        try:
            record = read_record(folder)
        except StoreError as error:
            return replace(step, state="damaged", why=(str(error),))
        if record is not None:
            why = drift_of(record.identity, step) or other_inputs(record.inputs, digests, step)
            return replace(step, state="drifted" if why else "cached", why=why, digest=None if why else record.digest)
        begun = partial_identity(folder)
        if begun is not None:
            why = drift_of(begun["identity"], step) or other_inputs(begun["inputs"], digests, step)
            return replace(step, state="drifted" if why else "resumes", why=why)
        if step.place not in self._anew:
            for other, found in self._records:
                if found.fingerprint == step.fingerprint and not other_inputs(found.inputs, digests, step):
                    return replace(step, state="taken over", source=other, digest=found.digest)
        return replace(step, state="new")

    def _seconds(self, name: str, count: int) -> float | None:
        """Seconds for so many units, by the records of earlier runs: of this recipe, else of any."""
        mine = [record for _, record in self._records if record.step == name and record.rate.count]
        same = [record for record in mine if record.recipe == self._around.recipe.name] or mine
        done = sum(record.rate.count for record in same)
        return count * sum(record.rate.elapsed_s for record in same) / done if done else None


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
