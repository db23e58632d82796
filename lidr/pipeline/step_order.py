"""In which order the steps of a recipe run, and whether that order makes sense."""

from __future__ import annotations

from collections.abc import Iterator

from lidr.errors import PlanError
from lidr.recipe import Recipe
from lidr.steps import STEPS, Policy


def order(recipe: Recipe) -> Iterator[tuple[int, str]]:
    """What runs once, what opens the iterations (all of it, so that bad input is found early), then the chains."""
    numbers = range(1, len(recipe.iterations) + 1)
    yield from ((0, name) for name in placed("run"))
    opening = [name for name in placed("iteration") if getattr(recipe, STEPS[name].section) is not None]
    yield from ((number, name) for number in numbers for name in opening)
    yield from ((0, step.name) for step in recipe.chain if STEPS[step.name].at_first)
    for number in numbers:
        names = (step.name for step in recipe.chain)
        yield from ((number, name) for name in names if number == numbers[-1] or not STEPS[name].last_only)


def placed(place: str) -> list[str]:
    """The steps that no chain names: those that run once, or those that open each iteration."""
    return [name for name, kind in STEPS.items() if kind.place == place]


def check_order(recipe: Recipe) -> None:
    """Refuse a step that writes rows after another step has used them up: nobody would read what it writes.

    One that reads what the other made of them is meant to come after it. Nor may a step replace rows that an earlier
    one has written, without reading them; nor ask for what the chain does not make.

    Raises:
        PlanError: names the step, or its setting.
    """
    used: dict[str, str] = {}
    written: dict[str, str] = {}
    for step in recipe.chain:
        kind = STEPS[step.name]
        if (user := used.get(kind.writes.name)) is not None and STEPS[user].writes not in kind.reads:
            raise PlanError(
                f'chain: "{step.name}" comes after "{user}", which has used the {kind.writes.name}; put it before'
            )
        if kind.writes.name in written and kind.writes not in kind.reads:
            raise PlanError(
                f'chain: "{step.name}" makes {kind.writes.name} anew, and "{written[kind.writes.name]}" before it has '
                "made them: nobody would read those; keep one of the two"
            )
        written[kind.writes.name] = step.name
        reads = (*kind.reads, *kind.also_reads(step.config), *(() if kind.looks_back else kind.takes))
        used |= {rows.name: step.name for rows in reads if rows is not kind.writes and rows is not Policy}
    for step in recipe.chain:
        for said in STEPS[step.name].chain(recipe, step.config):
            raise PlanError(said)
    deciding = [name for name, kind in STEPS.items() if kind.decides is not None]
    if recipe.repeat is not None and not any(step.name in deciding for step in recipe.chain):
        raise PlanError(
            f"repeat: {recipe.repeat} needs a step that can end the run, and the chain has none; put "
            f"{' or '.join(deciding)} after the evaluation"
        )
