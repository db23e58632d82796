"""`lidr plan RECIPE`: what a run would make, what is there already, what drifted and why, and how long it may take."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from lidr import pipeline
from lidr.cli.common import duration, print_json, print_table, read_recipe, recipe_arguments
from lidr.cli.run import iterations_of
from lidr.store import rules_json

if TYPE_CHECKING:
    from lidr.pipeline import Plan, PlannedStep


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    recipe_arguments(parser)
    parser.add_argument("--until", metavar="STEP", help="plan each iteration up to this step")


def main(options: argparse.Namespace) -> int:
    """Make the plan and print it."""
    recipe = read_recipe(options)
    planned = pipeline.plan(recipe, until=options.until)
    if options.json:
        print_json("lidr.plan/1", as_json(planned))
    else:
        show(planned)
    return 0


def show(planned: Plan) -> None:
    """Print the plan as a table, what is in the way, and the totals."""
    recipe = planned.recipe
    print(
        f"{recipe.name} {recipe.version}: {recipe.languages.dominant} and {', '.join(recipe.languages.others)}, "
        f"{iterations_of(planned)}, {recipe.policy.model}"
    )
    print(f"store: {planned.version_folder}\n")
    print_table(
        ("step", "state", "work at most", "tokens at most", "time"), [_row(step) for step in planned.steps], left=2
    )
    said: set[str] = set()
    for step in planned.steps:
        for why in step.why:
            if step.state == "skipped" and why in said:
                continue  # one reason for many steps is said at the first
            said.add(why)
            print(f"\n{step.place} {step.said}: {why}", end="")
    print("\n" if any(step.why for step in planned.steps) else "")
    print(totals(planned))


def _row(step: PlannedStep) -> tuple[str, ...]:
    from lidr.pipeline import NOTHING_TO_DO

    expected = step.expected
    is_done = step.state in NOTHING_TO_DO
    return (
        step.place,
        step.said,
        f"{expected.count:,} {expected.unit} {expected.note}".rstrip() if expected.count else "-",
        f"{expected.tokens:,}" if expected.tokens else "-",
        "-" if is_done else duration(step.seconds),
    )


def totals(planned: Plan) -> str:
    """One line: what is still to do."""
    from lidr.pipeline import NOTHING_TO_DO

    todo = [step for step in planned.steps if step.state not in NOTHING_TO_DO]
    if not todo:
        return "Everything is there: a run makes no request and writes nothing."
    requests = sum(step.expected.count for step in todo if step.expected.unit == "requests")
    tokens = sum(step.expected.tokens for step in todo)
    times = [step.seconds for step in todo if step.seconds is not None]
    unknown = len(todo) - len(times)
    time = duration(sum(times)) if times else "no rate yet (a first run measures it)"
    partly = f", not counting {unknown} steps without a rate" if times and unknown else ""
    return f"To make: {len(todo)} steps, {requests:,} requests, at most {tokens:,} tokens. Time: {time}{partly}."


def as_json(planned: Plan) -> dict[str, Any]:
    """The plan as plain data."""
    return {
        "recipe": planned.recipe.name,
        "version": planned.recipe.version,
        "store": str(planned.version_folder),
        "steps": [
            {
                "place": step.place,
                "state": step.state,
                "why": list(step.why),
                "rules": rules_json(step.rules),
                "fingerprint": step.fingerprint,
                "inputs": dict(step.inputs),
                "expected": asdict(step.expected),
                "seconds": step.seconds,
            }
            for step in planned.steps
        ],
    }
