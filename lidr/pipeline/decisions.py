"""The course of a run: which policy an iteration starts from, with which settings, and where the run ends.

All of it follows from the records of steps that decide (`StepKind.decides`), so planning a finished run again takes the
same course. As long as such a step has no record, the plan is the longest that the run can become: every iteration,
each from the policy before it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lidr.pipeline.planned import Ending, PlannedStep
from lidr.recipe import Frozen
from lidr.steps import Decision, InitialPolicy, Policy, StepKind

Made = Mapping[int, Mapping[str, "PlannedStep"]]
"""Iteration -> name of the rows -> the last step that writes them."""


class Decisions:
    """What was decided so far, step by step, in the order of the plan."""

    def __init__(self, iterations: int) -> None:
        """Begin: as many iterations as the recipe has, nothing decided."""
        self._last = iterations
        self._decided: dict[int, Decision] = {}
        self.ending: Ending | None = None

    @property
    def result(self) -> int | None:
        """The iteration whose policy is the run's result so far, 0 for the first; None where nothing decides that."""
        return self._decided[max(self._decided)].policy if self._decided else None

    @property
    def best(self) -> int | None:
        """The iteration with the best policy so far; None where nothing decides that."""
        return self._decided[max(self._decided)].best if self._decided else None

    def follow(self, iteration: int, decision: Decision) -> None:
        """Take a decision into account, for all steps that come after."""
        self._decided[iteration] = decision
        if decision.ends is not None:
            self.ending = Ending(iteration, decision.ends, decision.is_negative)

    def place(self, iteration: int, kind: StepKind) -> int:
        """The iteration that a step belongs to: one of the last iteration alone moves to where the run ends."""
        return self.ending.iteration if self.ending and kind.last_only else iteration

    def skips(self, kind: StepKind) -> str | None:
        """Why a step is left out; None where it is made."""
        if self.ending is not None and (self.ending.is_negative or not kind.last_only):
            return self.ending.why
        if kind.last_only and self.result == 0:
            return NOTHING_BETTER
        return None

    def close(self) -> Ending | None:
        """The end of the whole run; one without a policy of its own to show is a bad one."""
        if self.ending is None and self.result == 0 and max(self._decided) == self._last:
            return Ending(self._last, NOTHING_BETTER, is_negative=True)
        return self.ending

    def policy(self, made: Made, iteration: int, kind: StepKind) -> dict[str, PlannedStep]:
        """The policy that enters an iteration, or, for a step that comes after the last, the run's result."""
        if kind.last_only:
            start = iteration if self.result is None else self.result
        else:
            before = self._decided.get(iteration - 1)
            start = iteration - 1 if before is None else before.policy
        for number in range(start, 0, -1):
            if Policy.name in made[number]:
                return {Policy.name: made[number][Policy.name]}
        return {Policy.name: made[0][InitialPolicy.name]} if InitialPolicy.name in made[0] else {}

    def config(self, config: Any, iteration: int, name: str) -> Any:
        """A step's settings, with what decisions of earlier iterations changed."""
        changes: dict[str, Any] = {}
        for number, decision in sorted(self._decided.items()):
            if number < iteration:
                changes |= decision.changes.get(name, {})
        return changed(config, changes)


NOTHING_BETTER = "no policy of this run is better than the one that it started from"


def changed(config: Frozen, changes: Mapping[str, Any]) -> Frozen:
    """Settings with other values for some of them.

    Args:
        config: the settings.
        changes: dotted name -> value.
    """
    if not changes:
        return config
    data = config.model_dump(exclude_unset=True)
    for path, value in changes.items():
        *above, last = path.split(".")
        target = data
        for part in above:
            target = target.setdefault(part, {})
        target[last] = value
    return type(config).model_validate(data)
