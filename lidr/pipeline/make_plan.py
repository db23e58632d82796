"""Make a recipe concrete: every step of every iteration, its inputs, its fingerprint, and what the store has of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from lidr.errors import OtherLidrError, StoreError
from lidr.hub import locked_for
from lidr.pipeline.decisions import Decisions
from lidr.pipeline.drift import drift_of, other_inputs
from lidr.pipeline.inputs import inputs_of, of_earlier, within_reach
from lidr.pipeline.planned import DONE, Plan, PlannedStep
from lidr.pipeline.rates import measured_on
from lidr.pipeline.room import check_room
from lidr.pipeline.step_order import check_order, order
from lidr.recipe import Recipe
from lidr.rows import Pair, Prompt
from lidr.steps import STEPS, Elsewhere, Scale, StepKind, Surroundings, Unresolved, with_own_dtype
from lidr.store import (
    ACCEPTED,
    KnownRecords,
    Record,
    Store,
    address_of,
    contradiction,
    fingerprint,
    has_finished_rows,
    made_by,
    other_rules,
    partial_identity,
    read_record,
    store_root,
    without_address,
)


def plan(
    recipe: Recipe,
    *,
    until: str | None = None,
    anew: Collection[str] = (),
    fresh: bool = False,
    accept_unknown_server: bool = False,
) -> Plan:
    """Make the recipe concrete and prove its whole chain, before anything runs.

    Args:
        recipe: from `lidr.load_recipe`.
        until: plan each iteration up to this step, or the run up to one place, as `iter_1/pair`.
        anew: places whose artifacts are made, not taken over from another version.
        fresh: take nothing over from another version.
        accept_unknown_server: take what a server answered whose address was not recorded for this server's.

    Raises:
        PlanError: a step needs rows that nothing before it writes; `until` names no step of the recipe; settings
            of `runtime` that can be on no machine, as GPUs that cannot share a model.
        StoreError: the lock file is damaged, or from a newer lidr.
    """
    check_room(recipe)
    store = Store(store_root(recipe.runtime.store, recipe.folder))
    lock = locked_for(recipe, store.version_folder(recipe.name, recipe.version))
    recipe = with_own_dtype(Surroundings(recipe, recipe.folder, lock, store.root))
    around = Surroundings(recipe, recipe.folder, lock, store.root)
    check_order(recipe)
    planner = _Planner(around, store, frozenset(anew), fresh=fresh, accept=accept_unknown_server)
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
        step = planner.counted(step)
        steps.append(step)
        made[iteration][kind.writes.name] = step
        planner.follow(step, course)
    return Plan(around, store, tuple(steps), course.close(), course.result, course.best).up_to(until)


_UNKNOWN = "a server whose address was not recorded, as by lidr before it kept addresses"


class _Planner:
    """Makes one step after another concrete."""

    def __init__(self, around: Surroundings, store: Store, anew: frozenset[str], *, fresh: bool, accept: bool) -> None:
        self._around, self._store, self._anew, self._fresh, self._accept = around, store, anew, fresh, accept
        self._known = KnownRecords(store.root, around.recipe.name)
        self._outside: dict[int, tuple[Any, dict[str, Any]]] = {}
        self._prompts: dict[int, int] = {}  # iteration -> how many a finished step has kept

    def concrete(
        self, iteration: int, name: str, config: Any, inputs: Mapping[str, PlannedStep], skipped: str | None
    ) -> PlannedStep:
        """One step: its inputs, its fingerprint, and what the store holds of it."""
        recipe, kind = self._around.recipe, STEPS[name]
        scale = replace(_scale(recipe, iteration), made=_pairs_at_most(inputs))
        scale = replace(scale, prompts=self._prompts.get(iteration, scale.prompts))
        expected = kind.expects(config, scale) if kind.counted is None else kind.counted(self._around, config, scale)
        places = {key: source.place for key, source in inputs.items()}
        step = PlannedStep(iteration, name, config, places, None, None, "unresolved", expected)
        step = replace(step, known=self._known, measured_on=measured_on(recipe, config, expected))
        if (left_out := skipped or kind.skipped(recipe)) is not None:
            return replace(step, state="skipped", why=(left_out,))
        try:
            outside = self._outside_of(kind, config)
        except Unresolved as reason:
            return replace(step, why=(str(reason),), is_elsewhere=isinstance(reason, Elsewhere))
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

    def _outside_of(self, kind: StepKind, config: Any) -> dict[str, Any]:
        """Identity of what lies outside; read once for all iterations that have the same settings."""
        if id(config) not in self._outside:
            self._outside[id(config)] = config, dict(kind.outside(self._around, config))
        return dict(self._outside[id(config)][1])

    def _with_state(self, step: PlannedStep, digests: Mapping[str, str | None]) -> PlannedStep:
        """Compare the step with what stands in its place."""
        recipe = self._around.recipe
        folder = self._store.folder(recipe.name, recipe.version, step.place)
        try:
            record = read_record(folder, is_checked=False)
            if record is not None:
                step = self._by_unknown_server(step, record.identity, record.execution)
                if step.state == "unknown server":
                    self._store.check(folder, record)
                    return step
                why = drift_of(record.identity, step) or other_inputs(record.inputs, digests, step)
                if why:
                    altered = contradiction(record)
                    doubt = () if altered is None else (f"and its record is damaged: {altered}",)
                    return replace(step, state="drifted", why=(*why, *doubt))
                return _kept(step, self._store.check(folder, record).record)
            begun = partial_identity(folder)
        except OtherLidrError as error:
            return replace(step, state="another lidr's", why=(str(error),))
        except StoreError as error:
            return replace(step, state="damaged", why=(str(error),))
        if begun is not None:
            asked = self._by_unknown_server(step, begun["identity"], {})
            if asked.state != "unknown server":
                why = drift_of(begun["identity"], asked) or other_inputs(begun["inputs"], digests, asked)
                if not why:
                    return _begun(asked, begun["identity"])
                asked = replace(asked, state="drifted", why=why, is_begun=True)
            if has_finished_rows(folder):
                return asked
        if step.place in self._anew or self._fresh:
            return replace(step, state="new")
        return self._taken_over(step, digests)

    def _taken_over(self, step: PlannedStep, digests: Mapping[str, str | None]) -> PlannedStep:
        """The same output under another version, if there is one: told where and when it was made. One that is damaged
        is left alone.
        """
        assert step.identity is not None
        old = without_address(step.identity)
        wanted = {fingerprint(step.identity), fingerprint(old)}
        not_known = 0
        for other, found in self._known.of(wanted):
            if other_inputs(found.inputs, digests, step):
                continue
            same = self._by_unknown_server(step, found.identity, found.execution)
            if same.state == "unknown server":
                not_known += 1
                continue
            if not self._is_whole(other):
                continue
            server = f" by {address}" if (address := address_of(step.identity)) else ""
            why = (*same.why, f"from {other.relative_to(self._store.root)}, made {found.finished}{server}")
            return replace(same, state="taken over", source=other, digest=found.digest, why=why)
        why = (f"{not_known} in the store may be the same, made by {_UNKNOWN}",) if not_known else ()
        return replace(step, state="new", why=why)

    def _is_whole(self, folder: Path) -> bool:
        try:
            self._store.check(folder)
        except StoreError:
            return False
        return True

    def _by_unknown_server(
        self, step: PlannedStep, made: Mapping[str, Any], execution: Mapping[str, Any]
    ) -> PlannedStep:
        """The step as it was made before addresses were recorded, if that is all that differs and is accepted."""
        assert step.identity is not None
        here = address_of(step.identity)
        if here is None or address_of(made) is not None:
            return step
        old = without_address(step.identity)
        if drift_of(made, replace(step, identity=old)):
            return step
        if self._accept or execution.get(ACCEPTED) == here:
            why = f"made by a server whose address was not recorded, accepted as {here}"
            return replace(step, identity=old, fingerprint=fingerprint(old), accepted=here, why=(why,))
        why = (
            f"made by {_UNKNOWN}. If it was {here}, run with --accept-unknown-server; else ask anew, with --rebuild "
            f"{step.place} or under a new version of the recipe"
        )
        return replace(step, state="unknown server", why=(why,))

    def counted(self, step: PlannedStep) -> PlannedStep:
        """The step with the prompts or pairs that it has kept, where it is there: what follows has no more to do."""
        if step.state not in DONE or step.kind.writes not in (Prompt, Pair):
            return step
        if (record := self._record(step)) is None:
            return step
        try:
            if step.kind.writes is Prompt:
                kept = self._prompts[step.iteration] = int(record.counts[Prompt.name])
            else:
                kept = sum(int(row["count"]) for row in record.counts["kept"])
        except (LookupError, TypeError, ValueError):
            return step  # somebody else wrote that record: the bound stays
        return replace(step, expected=replace(step.expected, count=kept, note=""))

    def _record(self, step: PlannedStep) -> Record | None:
        recipe = self._around.recipe
        return read_record(step.source or self._store.folder(recipe.name, recipe.version, step.place))

    def follow(self, step: PlannedStep, course: Decisions) -> None:
        """Let a step that has decided steer the rest of the plan."""
        decides = step.kind.decides
        if decides is None or step.state not in DONE:
            return
        if (record := self._record(step)) is not None:
            course.follow(step.iteration, decides(record.counts))


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
    others, sampled = len(recipe.languages.others), recipe.are_pairs_sampled
    answers = max((getattr(step.config, "n", 1) for step in recipe.chain), default=1)
    if iteration == 0:
        return Scale(0, others, answers, sampled)
    sliced = recipe.iterations[iteration - 1]
    return Scale(sliced.stop - sliced.start, others, answers, sampled)


def _pairs_at_most(inputs: Mapping[str, PlannedStep]) -> int | None:
    source = inputs.get(Pair.name)
    return source.expected.count or None if source is not None else None


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
