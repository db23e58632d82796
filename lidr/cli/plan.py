"""`lidr plan RECIPE`: what a run would make, what is there already, what drifted and why, and how long it may take."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from lidr import pipeline
from lidr.cli.common import (
    accept_argument,
    duration,
    print_json,
    print_table,
    read_recipe,
    recipe_arguments,
    recipe_words,
    refuse_wrong,
)
from lidr.cli.run import iterations_of
from lidr.steps import STEPS, check_template, halved_by_auto, is_for_another_card
from lidr.store import find_store, rules_json

if TYPE_CHECKING:
    from lidr.pipeline import Costs, MemoryNeed, Plan, PlannedStep


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    recipe_arguments(parser)
    parser.add_argument(
        "--until", metavar="STEP", help="plan each iteration up to this step, or everything up to one, as iter_1/pair"
    )
    parser.add_argument("--fresh", action="store_true", help="plan to make everything, taking nothing over")
    accept_argument(parser)


def main(options: argparse.Namespace) -> int:
    """Make the plan and print it."""
    recipe = read_recipe(options)
    refuse_wrong(recipe, options, "there is no plan of it, and `lidr run` refuses it")
    planned = pipeline.plan(
        recipe,
        until=options.until,
        fresh=options.fresh,
        accept_unknown_server=options.accept_unknown_server,
    )
    if options.json:
        print_json("lidr.plan/1", as_json(planned))
    else:
        show(planned)
        if _can_run(planned):
            where = "" if pipeline.can_run_here(recipe) else ", on a machine that has what `runtime` asks for"
            print(f"\nNext{where}: {_run_words(options)}")
    return 0


def _can_run(planned: Plan) -> bool:
    """Whether there is something to make, and nothing that `lidr run` would refuse."""
    states = {step.state for step in planned.steps} - {*pipeline.NOTHING_TO_DO}
    return bool(states) and states <= {"new", "resumes"}


def _run_words(options: argparse.Namespace) -> str:
    """The command that makes what is planned."""
    words = ["lidr", "run", *recipe_words(options), *(("--until", options.until) if options.until else ())]
    words += [f"--{name.replace('_', '-')}" for name in ("fresh", "accept_unknown_server") if getattr(options, name)]
    return shlex.join(words)


def show(planned: Plan) -> None:
    """Print the plan as a table, what is in the way, and the totals."""
    recipe, costs = planned.recipe, pipeline.costs_of(planned)
    print(
        f"{recipe.name} {recipe.version}: {recipe.languages.dominant} and {', '.join(recipe.languages.others)}, "
        f"{iterations_of(planned)}, {recipe.policy.model}"
    )
    where = find_store(recipe.runtime.store, recipe.folder)
    print(f"store: {planned.version_folder.resolve()} ({where.why})\n")
    print_table(
        ("step", "state", "work at most", "tokens at most", "time"),
        [_row(step, costs) for step in planned.steps],
        left=2,
        states=1,
    )
    if (own := halved_by_auto(planned.around)) is not None:
        print(f"\npolicy.dtype float32 takes twice the memory of the checkpoint's own {own}; `dtype: auto` takes that")
    for note in check_template(planned.around):
        print(f"\nchat template: {note}", end="")
    for name, config in ((one.name, one.config) for one in recipe.chain):
        for note in STEPS[name].notes(recipe, config):
            print(f"\n{note if note.startswith(f'{name}.') else f'{name}: {note}'}", end="")
    for path, lacking in pipeline.of_another_machine(recipe):
        print(f"\n{'.'.join(map(str, path))}: {lacking}", end="")
    if alone := pipeline.asked_alone(recipe):
        parts = "; ".join(f"{name} ({why})" for name, why in alone)
        print(f"\nruntime.replicas: {recipe.runtime.replicas} does not speed up {parts}")
    if pipeline.replicas_of(planned) is None and costs.times:
        print(
            "\nruntime.replicas all: times are of one replica, since nobody knows yet how many find a place, and what "
            "all GPUs cost while they are reserved is unknown; for an estimate name a number: --set runtime.replicas=8"
        )
    said: set[str] = set()
    for step in planned.steps:
        for why in step.why:
            if step.state == "skipped" and why in said:
                continue  # one reason for many steps is said at the first
            said.add(why)
            print(f"\n{step.place} {step.said}: {why}", end="")
    print("\n" if any(step.why for step in planned.steps) else "")
    print(totals(planned, costs))
    print(*_cost_lines(planned, costs), sep="\n", end="\n" if costs.times else "")


def _row(step: PlannedStep, costs: Costs) -> tuple[str, ...]:
    expected = step.expected
    return (
        step.place,
        step.said,
        f"{expected.count:,} {expected.unit} {expected.note}".rstrip() if expected.count else expected.note or "-",
        f"{expected.tokens:,}" if expected.tokens else "-",
        _time(step, costs),
    )


def _time(step: PlannedStep, costs: Costs) -> str:
    time = costs.times.get(step.place)
    if time is None:
        return "-"
    if not time.fits:
        return "does not fit"
    return ("" if time.is_measured or time.seconds is None else "~") + duration(time.seconds)


def totals(planned: Plan, costs: Costs) -> str:
    """One line: what is still to do."""
    todo = [step for step in planned.steps if step.place in costs.times]
    if not todo:
        return "Everything is there: a run makes no request and writes nothing."
    requests = sum(step.expected.count for step in todo if step.expected.unit == "requests")
    tokens = sum(step.expected.tokens for step in todo)
    retried = any(getattr(getattr(step.config, "retry", None), "times", 0) for step in todo if step.expected.tokens)
    without = ", without retries" if retried else ""
    asked = f", {requests:,} requests, at most {tokens:,} tokens{without}" if requests or tokens else ", no requests"
    return f"Still to do: {_steps(len(todo))}{asked}. Time: {_whole_time(costs)}."


def _steps(count: int) -> str:
    return f"{count} step{'' if count == 1 else 's'}"


def _whole_time(costs: Costs) -> str:
    said: list[str] = []
    if costs.measured_s:
        said.append(f"{duration(costs.measured_s)} by rates measured for the same model, engine and kind of machine")
    if costs.estimated_s:
        said.append(f"~{duration(costs.estimated_s)} estimated, not measured")
    how = "a first run measures it"
    if costs.card_helps:
        how += "; for an estimate name a card: --set runtime.gpu=H100"
    parts = [f"none for what does not fit: {_names(costs.unfit)}"] if costs.unfit else []
    if (number := len(costs.unknown)) and (said or parts):
        parts.append(f"unknown for {_steps(number)} ({how}): {_names(costs.unknown)}")
    if said:
        parts.append(("for the others " if parts else "") + " and ".join(said))
    return "; ".join(parts) or f"no rate yet ({how})"


def _names(places: Iterable[str]) -> str:
    """The steps at some places, each once."""
    return ", ".join(dict.fromkeys(place.partition("/")[2] for place in places))


def _cost_lines(planned: Plan, costs: Costs) -> Iterator[str]:
    """GPU hours and price, memory, disk; then what the estimates rest on."""
    if costs.unfit and costs.card is not None:
        price, names = " and price" if planned.recipe.runtime.gpu_price else "", _names(costs.unfit)
        does = "do" if "," in names else "does"
        where = f"on one {costs.card.name} as planned"
        yield f"GPU hours{price}: unknown; {names} {does} not fit {where}: see Memory"
    if costs.gpu_hours is not None:
        each = planned.recipe.runtime.gpu_price
        price = f"; price: {_price(costs.price)} at {each:g} an hour (runtime.gpu_price)" if costs.price else ""
        is_estimated = bool(costs.estimated_s)
        left_out = "; ".join(f"{one.what}, {one.number:,} {one.unit}" for one in costs.beside)
        without = f"; without {left_out}" if left_out else ""
        if costs.waiting:
            without += f"; without GPUs that wait for servers in {_names(costs.waiting)}, for a time that is unknown"
        at_once = f", on {costs.gpus} GPUs at most" if costs.gpus > 1 else ""
        yield f"GPU hours: {hours_of(costs.gpu_hours, is_estimated=is_estimated)}{at_once}{price}{without}"
        if costs.reserved_hours is not None:
            price = f"; price: {_price(costs.reserved_hours * each)}" if each else ""
            hours = hours_of(costs.reserved_hours, is_estimated=is_estimated)
            reserved = f"GPU hours, where all {costs.held} GPUs are reserved from the first step to the last"
            yield f"{reserved}: {hours}{price}{without}"
    for need in costs.memory:
        yield f"Memory, {need.what}: ~{pipeline.gigabytes(need.size)}{_room(need, costs)} ({need.parts})"
    for model in costs.unsized:
        yield f"Memory and disk of {model}: unknown; neither its files here nor its name tell how large it is"
    for kept in costs.disk:
        yield f"Disk, {kept.what}: ~{pipeline.gigabytes(kept.size)} ({kept.parts})"
    if costs.free is not None and costs.disk:
        needed = sum(kept.size for kept in costs.disk)
        advice = "; too little: free some space, or name another store with --store FOLDER"
        if is_for_another_card(planned.recipe):
            yield f"Disk, free here, which is not the machine that is planned for: {pipeline.gigabytes(costs.free)}"
        else:
            yield f"Disk, free: {pipeline.gigabytes(costs.free)}{advice if costs.free < needed else ''}"
    if (fetched := costs.fetched) is not None:
        few = costs.free_for_fetched is not None and costs.free_for_fetched < fetched.size
        free = f"; its disk has {pipeline.gigabytes(costs.free_for_fetched or 0)} free, too little" if few else ""
        yield f"Disk, {fetched.what}: ~{pipeline.gigabytes(fetched.size)}{free} ({fetched.parts})"
    if costs.sources:
        yield "Estimates (~) rest on:"
        yield from (f"  {source}" for source in costs.sources)


def _room(need: MemoryNeed, costs: Costs) -> str:
    """Of how much, and what to do where that is too little."""
    room = "" if costs.card is None else f" of the {costs.card.memory} GB of one {costs.card.name}"
    if need.fits:
        return room
    room = room or f" of the {pipeline.gigabytes(need.most)} of this machine"
    more = "it has" if need.share == 1 else f"the {need.share:g} of it that vLLM takes"
    return f"{room}, more than {more}; {need.advice}"


def hours_of(hours: float, *, is_estimated: bool) -> str:
    """Hours of a GPU, in the digits that people read.

    >>> hours_of(3e-8, is_estimated=True), hours_of(0.25, is_estimated=True), hours_of(1234.5, is_estimated=False)
    ('under 0.01', '~0.25', '1,234')
    """
    if 0 < hours < 0.01:
        return "under 0.01"
    return f"{'~' if is_estimated else ''}{f'{hours:,.0f}' if hours >= 10 else f'{hours:.2g}'}"


def _price(price: float) -> str:
    return "under 0.01" if 0 < price < 0.01 else f"{price:,.2f}"


def as_json(planned: Plan) -> dict[str, Any]:
    """The plan as plain data."""
    costs = pipeline.costs_of(planned)
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
                "seconds": costs.times[step.place].seconds if step.place in costs.times else step.seconds,
                "is_measured": costs.times[step.place].is_measured if step.place in costs.times else None,
            }
            for step in planned.steps
        ],
        "lacking_here": [
            {"path": ".".join(map(str, one.path)), "said": one.said} for one in pipeline.lacking_here(planned.recipe)
        ],
        "not_by_replicas": dict(pipeline.asked_alone(planned.recipe)),
        "gpu_hours": costs.gpu_hours,
        "price": costs.price,
        "gpu_hours_reserved": costs.reserved_hours,
        "gpus_at_once": costs.gpus,
        "waits_for_servers": list(costs.waiting),
        "not_estimated": [{"what": one.what, "number": one.number, "unit": one.unit} for one in costs.beside],
        "memory": [asdict(need) for need in costs.memory],
        "size_unknown": list(costs.unsized),
        "does_not_fit": list(costs.unfit),
        "disk": [asdict(need) for need in costs.disk],
        "downloads": None if costs.fetched is None else asdict(costs.fetched),
        "disk_free": costs.free,
        "estimates_rest_on": list(costs.sources),
    }
