"""Make a recipe concrete: every step of every iteration, its inputs, its fingerprint, and what the store has of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from lidr.errors import StoreError
from lidr.hub import locked_for
from lidr.pipeline.decisions import Decisions
from lidr.pipeline.drift import drift_of, other_inputs
from lidr.pipeline.inputs import inputs_of, of_earlier, within_reach
from lidr.pipeline.planned import DONE, Plan, PlannedStep
from lidr.pipeline.step_order import check_order, order
from lidr.recipe import Recipe
from lidr.steps import STEPS, Scale, Surroundings, Unresolved
from lidr.store import Record, Store, fingerprint, made_by, other_rules, partial_identity, read_record, store_root


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
    course = Decisions(len(recipe.iterations))
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
            return replace(step, state="drifted", why=why) if why else _kept(step, record)
        begun = partial_identity(folder)
        if begun is not None:
            why = drift_of(begun["identity"], step) or other_inputs(begun["inputs"], digests, step)
            return replace(step, state="drifted", why=why) if why else _begun(step, begun["identity"])
        if step.place not in self._anew:
            for other, found in self._records:
                if found.fingerprint == step.fingerprint and not other_inputs(found.inputs, digests, step):
                    return replace(step, state="taken over", source=other, digest=found.digest)
        return replace(step, state="new")

    def follow(self, step: PlannedStep, course: Decisions) -> None:
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


def _kept(step: PlannedStep, record: Record) -> PlannedStep:
    """A step that is there, by its settings; what is made from it is made from this, whatever rules made it."""
    assert step.identity is not None
    rules = other_rules(record.identity, step.identity)
    if not rules:
        return replace(step, state="cached", digest=record.digest)
    why = (
        f"made by {made_by(step.name, rules)}; it is kept and used as it is. A new version of the recipe makes it by "
        f"the new rules, and so does --rebuild {step.place}"
    )
    return replace(
        step,
        state="other rules",
        why=(why,),
        rules=rules,
        digest=record.digest,
        identity=record.identity,
        fingerprint=record.fingerprint,
    )


def _begun(step: PlannedStep, begun: Mapping[str, Any]) -> PlannedStep:
    """A step that an earlier try began: its answers are no answers to the questions of other rules."""
    assert step.identity is not None
    rules, since = other_rules(begun, step.identity), step.kind.resumes_since
    if not rules or (rules.keys() == {step.name} and since is not None and since <= rules[step.name][0]):
        return replace(step, state="resumes")
    why = (
        f"begun by {made_by(step.name, rules)}: finish it with the lidr that began it, or begin it anew with --rebuild "
        f"{step.place}"
    )
    return replace(step, state="begun by other rules", why=(why,), rules=rules)


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
