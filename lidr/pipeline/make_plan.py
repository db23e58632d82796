"""Make a recipe concrete: every step of every iteration, its inputs, its fingerprint, and what the store has of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from lidr.errors import PlanError, StoreError
from lidr.hub.pins import locked_for
from lidr.pipeline.decisions import Course, Ending
from lidr.pipeline.drift import drift_of, other_inputs
from lidr.pipeline.inputs import inputs_of, of_earlier, within_reach
from lidr.pipeline.step_order import check_order, order, placed
from lidr.recipe.schema import Recipe
from lidr.steps import STEPS
from lidr.steps.base import Expected, Scale, StepKind, Surroundings, Unresolved
from lidr.store.fingerprints import fingerprint
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
            cannot be read; unresolved: something outside is missing; skipped: the recipe leaves it out for now, or the
            run ended before it.
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
    """A recipe made concrete: every step of every iteration, in the order in which they run.

    Args:
        ending: where and why the run ends, if a step has decided that.
        result: the iteration whose policy is the run's result, if a step has decided that; 0 is the first policy.
        best: the iteration with the best policy so far, by the same steps.
    """

    around: Surroundings
    store: Store
    steps: tuple[PlannedStep, ...]
    ending: Ending | None = None
    result: int | None = None
    best: int | None = None

    @property
    def decided(self) -> tuple[PlannedStep, ...]:
        """The steps up to the first one that has still to decide how it goes on: what comes after may change."""
        for number, step in enumerate(self.steps, 1):
            if step.kind.decides is not None and step.state not in NOTHING_TO_DO:
                return self.steps[:number]
        return self.steps

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

        A later iteration whose inputs would not be made is left out from there on; so is one after a step that has
        still to decide how the run goes on, and is not carried out.

        Raises:
            PlanError: the recipe has no such step.
        """
        if until is None:
            return self
        names = list(dict.fromkeys([*placed("run"), *placed("iteration"), *(s.name for s in self.recipe.chain)]))
        if until not in names:
            raise PlanError(f'--until "{until}": no such step in this recipe; its steps: {", ".join(names)}')
        wanted = names[: names.index(until) + 1]
        kept: dict[str, PlannedStep] = {}
        last = len(self.recipe.iterations)
        for step in self.steps:
            if step.name in wanted and step.iteration <= last and kept.keys() >= set(step.inputs.values()):
                kept[step.place] = step
            elif step.kind.decides is not None and step.state not in NOTHING_TO_DO:
                last = min(last, step.iteration)
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
    lock = locked_for(recipe, store.version_folder(recipe.name, recipe.version))
    around = Surroundings(recipe, recipe.folder, lock, store.root)
    check_order(recipe)
    planner = _Planner(around, store, frozenset(anew))
    steps: list[PlannedStep] = []
    made: dict[int, dict[str, PlannedStep]] = {number: {} for number in range(len(recipe.iterations) + 1)}
    course = Course(len(recipe.iterations))
    for written, name in order(recipe):
        kind = STEPS[name]
        iteration = course.place(written, kind)
        config = getattr(recipe, kind.section) if kind.section else _config(recipe, name)
        inputs = inputs_of(recipe, name, config, within_reach(made, iteration, kind, course))
        inputs |= of_earlier(made, iteration, kind, inputs)
        step = planner.concrete(iteration, name, course.config(config, iteration, name), inputs, course.skips(kind))
        steps.append(step)
        made[iteration][kind.writes.name] = step
        planner.follow(step, course)
    return Plan(around, store, tuple(steps), course.close(), course.result, course.best).up_to(until)


class _Planner:
    """Makes one step after another concrete."""

    def __init__(self, around: Surroundings, store: Store, anew: frozenset[str]) -> None:
        self._around, self._store, self._anew = around, store, anew
        self._records = list(store.records())

    def concrete(
        self, iteration: int, name: str, config: Any, inputs: Mapping[str, PlannedStep], skipped: str | None
    ) -> PlannedStep:
        """One step: its inputs, its fingerprint, and what the store holds of it."""
        recipe, kind = self._around.recipe, STEPS[name]
        expected = kind.expects(config, _scale(recipe, iteration))
        places = {key: source.place for key, source in inputs.items()}
        seconds = self._seconds(name, expected.count)
        step = PlannedStep(iteration, name, config, places, None, None, "unresolved", expected, seconds=seconds)
        if (left_out := skipped or kind.skipped(recipe)) is not None:
            return replace(step, state="skipped", why=(left_out,))
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
            "recipe": {field: recipe_field(recipe, iteration, field) for field in kind.uses},
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

    def follow(self, step: PlannedStep, course: Course) -> None:
        """Let a step that has decided steer the rest of the plan."""
        decides, recipe = step.kind.decides, self._around.recipe
        if decides is None or step.state not in DONE:
            return
        record = read_record(step.source or self._store.folder(recipe.name, recipe.version, step.place))
        if record is not None:
            course.follow(step.iteration, decides(record.counts))

    def _seconds(self, name: str, count: int) -> float | None:
        """Seconds for so many units, by the records of earlier runs: of this recipe, else of any."""
        mine = [record for _, record in self._records if record.step == name and record.rate.count]
        same = [record for record in mine if record.recipe == self._around.recipe.name] or mine
        done = sum(record.rate.count for record in same)
        return count * sum(record.rate.elapsed_s for record in same) / done if done else None


def _config(recipe: Recipe, name: str) -> Any:
    return next(step.config for step in recipe.chain if step.name == name)


def _scale(recipe: Recipe, iteration: int) -> Scale:
    if iteration == 0:
        return Scale(0, len(recipe.languages.others))
    sliced = recipe.iterations[iteration - 1]
    return Scale(sliced.stop - sliced.start, len(recipe.languages.others))


def recipe_field(recipe: Recipe, iteration: int, name: str) -> Any:
    """A field of the recipe that is part of a step's identity, by the dotted name that `StepKind.uses` has for it."""
    if name == "iteration.number":
        return iteration
    if name == "iteration.prompts":
        return recipe.iterations[iteration - 1].prompts
    value: Any = recipe
    for part in name.split("."):
        value = getattr(value, part)
    return value.model_dump(mode="json") if hasattr(value, "model_dump") else value
