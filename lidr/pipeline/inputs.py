"""What a step reads: of its own iteration, of those before it, and of what runs once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lidr.errors import PlanError
from lidr.pipeline.decisions import Decisions, Made
from lidr.pipeline.planned import PlannedStep
from lidr.recipe import Recipe
from lidr.steps import STEPS, StepKind


def inputs_of(recipe: Recipe, name: str, config: Any, made: Mapping[str, PlannedStep]) -> dict[str, PlannedStep]:
    """The steps that a step reads, by the rows' name.

    Raises:
        PlanError: rows that nothing before it writes.
    """
    kind = STEPS[name]
    inputs = {rows.name: made[rows.name] for rows in kind.takes if rows.name in made}
    for rows in (*kind.reads, *kind.also_reads(config)):
        if rows.name not in made:
            writers = [other for other, k in STEPS.items() if k.writes is rows and rows not in k.reads]
            chain = " -> ".join(step.name for step in recipe.chain)
            raise PlanError(
                f'chain ({chain}): "{name}" needs {rows.name}, and no step before it makes them; '
                f"put {' or '.join(writers)} before it"
            )
        inputs[rows.name] = made[rows.name]
    return inputs


def within_reach(made: Made, iteration: int, kind: StepKind, course: Decisions) -> dict[str, PlannedStep]:
    """What a step may read by the rows' name: what its iteration wrote, the policy that entered, what runs once."""
    if kind.looks_back:
        return dict(made[iteration])
    policy = course.policy(made, iteration, kind)
    return {**made[0], **policy, **made[iteration], **(policy if kind.last_only else {})}


def of_earlier(made: Made, iteration: int, kind: StepKind, inputs: Mapping[str, PlannedStep]) -> dict[str, PlannedStep]:
    """What a step reads of other iterations, by the rows' name and the iteration: one of the last iteration alone
    reads all earlier ones, one that also ran at first reads what it wrote then, one that looks back reads of each
    earlier iteration what it reads of its own, and what it wrote there.
    """
    if kind.at_first and iteration and kind.writes.name in made[0]:
        return {f"{kind.writes.name}_0": made[0][kind.writes.name]}
    if kind.looks_back:
        wanted, first = {*inputs, kind.writes.name}, 0
    else:
        wanted, first = {rows.name for rows in kind.reads} if kind.last_only else set(), 1
    return {f"{rows}_{k}": made[k][rows] for k in range(first, iteration) for rows in sorted(wanted & set(made[k]))}
