"""Whether what a recipe asks of this machine's cards and processors can be: said before anything is made or taken."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from lidr.costs import this_machine
from lidr.engines import engine_row
from lidr.errors import PlanError
from lidr.recipe import KeyPath, Recipe
from lidr.references import FolderReference, parse_reference
from lidr.resources import resolve_source
from lidr.steps import STEPS


def room_problems(recipe: Recipe) -> Iterator[tuple[KeyPath, str]]:
    """What cannot be: the setting, and what is wrong with it."""
    runtime = recipe.runtime
    for step in recipe.chain:
        yield from ((("runtime", name), said) for name, said in STEPS[step.name].room(recipe, step.config))
    row, machine = engine_row(runtime.engine), this_machine()
    cards = len(machine.cards)
    if row.model == "server":
        return
    each = runtime.tensor_parallel if runtime.engine == "vllm" else 1
    is_here = runtime.cluster == "local" and runtime.gpu is None and row.model == "folder"
    wanted, cpus = runtime.replicas, max(1, runtime.threads)
    if is_here and isinstance(wanted, int) and wanted > 1:
        for what, one, has in (("GPU", each, cards), ("CPU", cpus, machine.cpus)):
            if has and wanted * one > has:
                yield (
                    ("runtime", "replicas"),
                    f"{wanted} replicas of {one} {what}{'s' * (one > 1)} need {wanted * one}, and "
                    f"this machine has {has}: give at most {has // one}, or `all`, or name a cluster in "
                    "runtime.cluster",
                )
                break
    heads = _heads(recipe)
    if runtime.engine == "vllm" and heads is not None and heads % runtime.tensor_parallel:
        fits = [number for number in range(1, heads + 1) if heads % number == 0]
        yield (
            ("runtime", "tensor_parallel"),
            f"{runtime.tensor_parallel} GPUs cannot share the model's {heads} attention heads evenly: "
            f"{', '.join(map(str, fits))} can",
        )


def asked_alone(recipe: Recipe) -> tuple[tuple[str, str], ...]:
    """What of a recipe's work is done by one model though it wants several replicas, and why."""
    if recipe.runtime.replicas == 1:
        return ()
    return tuple(said for step in recipe.chain for said in STEPS[step.name].alone(recipe, step.config))


def check_room(recipe: Recipe) -> None:
    """Refuse what cannot be.

    Raises:
        PlanError: names the settings.
    """
    if found := [f"{'.'.join(map(str, path))}: {said}" for path, said in room_problems(recipe)]:
        raise PlanError("\n".join(found))


def _heads(recipe: Recipe) -> int | None:
    """Of the first policy, where it is a folder that is here."""
    reference = parse_reference(recipe.policy.model)
    if not isinstance(reference, FolderReference):
        return None
    folder = resolve_source(reference.path, recipe.folder) or Path(reference.path)
    try:
        found = json.loads((folder / "config.json").read_text(encoding="utf-8"))["num_attention_heads"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return found if isinstance(found, int) else None
