"""What is wrong with a recipe that is well-formed: its chain, its files, its ids, its sets; without a model or network.

All of it at once, each with the place in the recipe that names it. What is only not here yet (an unpinned model, a
variable that is not set) is no mistake of the recipe: it is a note.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from lidr import release
from lidr.costs import CARDS, card_named
from lidr.errors import LidrError, PlanError, Problem
from lidr.hub import locked_for
from lidr.pipeline.inputs import inputs_of
from lidr.pipeline.planned import PlannedStep
from lidr.pipeline.room import lacking_here, of_another_machine, room_problems
from lidr.pipeline.step_order import check_order, order
from lidr.recipe import KeyPath, Recipe, problems_at
from lidr.steps import STEPS, Expected, InitialPolicy, Policy, Surroundings, Unresolved
from lidr.store import Store, store_root

_SETTING = re.compile(r"([a-z_]+(?:\.\w+|\[[0-9]+\])*): ")


@dataclass(frozen=True)
class Checked:
    """What was found.

    Args:
        problems: mistakes, in the order of the file.
        notes: what must still be done before it runs.
    """

    problems: tuple[Problem, ...]
    notes: tuple[Problem, ...]


def check_recipe(recipe: Recipe, overrides: Sequence[str] = (), *, runs_here: bool = False) -> Checked:
    """Look for every mistake that needs no model and no network to be seen.

    Args:
        recipe: as it was read.
        overrides: the `key=value` texts that it was read with.
        runs_here: it is to be run on this machine, so what that lacks is a mistake, too; else it is a note.

    Raises:
        StoreError: there is no place for a store, which is no mistake of the recipe's.
    """
    store_root(recipe.runtime.store, recipe.folder)
    wrong: list[tuple[KeyPath, str]] = []
    notes: list[tuple[KeyPath, str]] = []
    try:
        around = surroundings_of(recipe)
    except LidrError as error:
        return Checked(problems_at(recipe, overrides, [((), str(error))]), ())
    wrong += [_at(recipe, ("chain",), "", said) for said in _said(lambda: check_order(recipe))]
    wrong += _unfed(recipe)
    wrong += room_problems(recipe)
    if runs_here:
        wrong += [(path, f"{said}: {advice}") for path, said, advice in lacking_here(recipe)]
    else:
        notes += of_another_machine(recipe)
    for path, name, config in _steps(recipe):
        kind = STEPS[name]
        notes += [_at(recipe, path, name, said) for said in kind.notes(recipe, config)]
        try:
            if kind.checks is None:
                kind.outside(around, config)
            else:
                notes += [_at(recipe, path, name, said) for said in kind.checks(around, config) or ()]
        except Unresolved as reason:
            notes.append(_at(recipe, path, name, str(reason)))
        except (LidrError, OSError) as error:
            wrong += [_at(recipe, path, name, said) for said in getattr(error, "problems", (str(error),))]
    notes += _of_licences(recipe)
    notes += _of_gpu(recipe)
    return Checked(*(problems_at(recipe, overrides, list(dict.fromkeys(found))) for found in (wrong, notes)))


def _of_licences(recipe: Recipe) -> Iterator[tuple[KeyPath, str]]:
    """Licences that no Hub knows, wherever they stand: a card can only say that they are others."""
    settings = [((name,), value) for name, value in recipe if isinstance(value, BaseModel)]
    steps = [(("chain", number, step.name), step.config) for number, step in enumerate(recipe.chain)]
    for place, config in (*settings, *steps):
        for path, identifier in _licences_in(config.model_dump(mode="json"), place):
            if (said := release.unknown_licence(identifier)) is not None:
                yield path, f"{said}; a release of it would be `other`"


def _licences_in(value: Any, path: KeyPath) -> Iterator[tuple[KeyPath, str]]:
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in entries:
        if key in ("license", "policy_license") and isinstance(child, str):
            yield (*path, key), child
        else:
            yield from _licences_in(child, (*path, key))


def surroundings_of(recipe: Recipe) -> Surroundings:
    """What the recipe's words are resolved against, as it was read from its file.

    Raises:
        PlanError: a data set stands in the recipe at two revisions.
        StoreError: the lock file is damaged, or from a newer lidr.
    """
    store = Store(store_root(recipe.runtime.store, recipe.folder))
    lock = locked_for(recipe, store.version_folder(recipe.name, recipe.version))
    return Surroundings(recipe, recipe.folder, lock, store.root)


def _of_gpu(recipe: Recipe) -> Iterator[tuple[KeyPath, str]]:
    """A card that `plan` could not estimate for."""
    named = recipe.runtime.gpu
    if named is not None and card_named(named) is None:
        known = [card.name for card in CARDS]
        near = next(iter(difflib.get_close_matches(named, known, n=1)), None)
        hint = f'did you mean "{near}"? ' if near else ""
        yield (
            ("runtime", "gpu"),
            f'lidr knows no card "{named}"; {hint}It knows {", ".join(known)}; plan needs one of them',
        )


def _said(check: Callable[[], object]) -> Iterator[str]:
    try:
        check()
    except LidrError as error:
        yield str(error).removeprefix("chain: ")


def _steps(recipe: Recipe) -> Iterator[tuple[KeyPath, str, Any]]:
    """Every step once: where its settings stand, its name, and they themselves."""
    for name, kind in STEPS.items():
        config = getattr(recipe, kind.section) if kind.section else None
        if config is not None:
            yield (kind.section,), name, config
    for number, step in enumerate(recipe.chain):
        yield ("chain", number, step.name), step.name, step.config


def _at(recipe: Recipe, path: KeyPath, name: str, said: str) -> tuple[KeyPath, str]:
    """The place of a message that opens with the setting it is about: `pair.translation_type.ids: no file x`, of this
    step, of another one of the chain, or of the recipe.
    """
    if (found := _SETTING.match(said)) is None:
        return path, said
    first, *parts = re.findall(r"\w+", found[1])
    rest = [int(part) if part.isdecimal() else part for part in parts]
    numbers = {step.name: number for number, step in enumerate(recipe.chain)}
    text = said[found.end() :]
    if first == name and rest:
        return (*path, *rest), text
    if first in numbers and rest:
        return ("chain", numbers[first], first, *rest), text
    return ((first, *rest), text) if first in Recipe.model_fields else (path, said)


def _unfed(recipe: Recipe) -> Iterator[tuple[KeyPath, str]]:
    """Steps that read rows which nothing before them writes; each is told, as if the rows were there for the next."""
    numbers = {step.name: number for number, step in enumerate(recipe.chain)}
    made: dict[str, PlannedStep] = {}
    for iteration, name in order(recipe):
        kind = STEPS[name]
        if iteration > 1 or (iteration == 0 and kind.place == "chain"):
            continue
        config = getattr(recipe, kind.section) if kind.section else recipe.chain[numbers[name]].config
        first = {Policy.name: made[InitialPolicy.name]} if InitialPolicy.name in made else {}
        try:
            inputs_of(recipe, name, config, {**first, **made})
        except PlanError as error:
            yield ("chain", numbers[name]) if name in numbers else (kind.section,), str(error)
        made[kind.writes.name] = PlannedStep(iteration, name, config, {}, None, None, "new", Expected())
