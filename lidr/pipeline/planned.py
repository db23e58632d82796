"""A recipe made concrete: its steps in the order in which they run, and what the store has of each."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from lidr.errors import PlanError
from lidr.pipeline.step_order import placed
from lidr.recipe import Recipe
from lidr.steps import STEPS, Expected, StepKind, Surroundings
from lidr.store import KnownRecords, Store, arrow

State = Literal[
    "cached",
    "other rules",
    "new",
    "resumes",
    "begun by other rules",
    "taken over",
    "unknown server",
    "drifted",
    "damaged",
    "another lidr's",
    "unresolved",
    "skipped",
]
KEPT = ("cached", "other rules")
DONE = (*KEPT, "taken over")
NOTHING_TO_DO = (*DONE, "skipped")


@dataclass(frozen=True)
class Ending:
    """Where and why a run ends.

    Args:
        iteration: the last one, whole or in part.
        why: in words.
        is_negative: whether the outcome must not pass unseen.
    """

    iteration: int
    why: str
    is_negative: bool


@dataclass(frozen=True)
class PlannedStep:
    """One step made concrete.

    Args:
        place: `iter_<k>/<step>`, its folder below the run's version.
        inputs: name of each input -> the place of the artifact that it is.
        identity: everything that can change its result; None while something outside is not here.
        state: cached: there already; other rules: there already, made by the same settings under another version of the
            step or of a benchmark; new: to be made; resumes: begun by an earlier try; begun by other rules: such a try
            that cannot be gone on with; taken over: the same output stands under another version; unknown server: made
            by a server whose address was not recorded, and nobody has said that it was this one; drifted: made by other
            settings or from other inputs; damaged: its record or a file of it is not as it was written; another lidr's:
            its record is, and this lidr does not read it; unresolved: something outside is missing; skipped: the recipe
            leaves it out for now, or the run ended before it.
        is_begun: it drifted, and it is no artifact: an unfinished try, which has finished rows.
        why: what drifted, is damaged or is missing, by which rules it was made, where and when what is taken over was
            made, or why it is skipped.
        digest: of the content, where the artifact is there.
        source: where a step that is taken over stands.
        known: the store's records, of which `seconds` is read.
        measured_on: what a rate must be of, to count for it.
        rules: those that made or began it, where this lidr has others, by the name of the step or benchmark.
        is_elsewhere: what is missing lies on another machine, for which the recipe is planned.
        accepted: the address that the user has said the answers are of, where none was recorded.
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
    known: KnownRecords | None = field(default=None, compare=False, repr=False)
    measured_on: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)
    is_begun: bool = False
    rules: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    accepted: str | None = None
    is_elsewhere: bool = False

    @property
    def seconds(self) -> float | None:
        """How long it may take, by earlier records of the same model, engine and kind of machine; None without any, and
        where nobody knows yet how much there is to do.
        """
        return (
            None
            if self.known is None or not self.expected.count
            else self.known.seconds(self.name, self.expected.count, self.measured_on)
        )

    @property
    def said(self) -> str:
        """The state for people: "rules 1 -> 2" where other rules made it."""
        return arrow(self.name, self.rules) if self.state == "other rules" else self.state

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
    def to_make(self) -> tuple[PlannedStep, ...]:
        """What must be made before the run can be published: all that is not there, but for what publishes and for
        what a run that came to its end leaves out. A run that was stopped has not come to its end.
        """
        is_left_out = self.ending is None or not self.ending.is_negative
        there = (*KEPT, "skipped") if is_left_out else KEPT
        return tuple(step for step in self.steps if step.state not in there and not step.kind.last_only)

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
        """The part of the plan that a run up to a step of each iteration, or up to one place, carries out.

        A later iteration whose inputs would not be made is left out from there on; so is one after a step that has
        still to decide how the run goes on, and is not carried out.

        Raises:
            PlanError: the recipe has no such step.
        """
        if until is None:
            return self
        if until in (places := [step.place for step in self.steps]):
            return replace(self, steps=self.steps[: places.index(until) + 1])
        chain, there = [step.name for step in self.recipe.chain], {step.name for step in self.steps}
        opening = [name for name in (*placed("run"), *placed("iteration")) if name in there]
        names = list(dict.fromkeys([*opening, *chain]))
        if until not in names:
            near = next(iter(difflib.get_close_matches(until, names, n=1)), None)
            hint = f'; did you mean "{near}"?' if near else ";"
            raise PlanError(
                f'--until "{until}": no such step in this recipe{hint} its steps: {", ".join(names)}, '
                f"or of one iteration {places[-1]}"
            )
        wanted = names[: names.index(until) + 1]
        kept: dict[str, PlannedStep] = {}
        last = len(self.recipe.iterations)
        for step in self.steps:
            if step.name in wanted and step.iteration <= last and kept.keys() >= set(step.inputs.values()):
                kept[step.place] = step
            elif step.kind.decides is not None and step.state not in NOTHING_TO_DO:
                last = min(last, step.iteration)
        return replace(self, steps=tuple(kept.values()))
