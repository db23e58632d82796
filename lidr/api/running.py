"""From a recipe: run it, build its pairs alone, publish what it made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from lidr import pipeline
from lidr.api.run_result import RunResult
from lidr.errors import HubError, PlanError
from lidr.hub_server import hub_for
from lidr.pipeline import load_recipe, plan
from lidr.recipe import Recipe
from lidr.release import Destinations, Finished, Published, release
from lidr.rows import Pair
from lidr.steps import STEPS, destinations, finished_for
from lidr.store import Store, note_published, store_root

Say = Callable[[str], None]


def run(
    recipe: Recipe | Path | str,
    *,
    until: str | None = None,
    rebuild: Sequence[str] = (),
    allow_unpinned: bool = False,
    fresh: bool = False,
    accept_unknown_server: bool = False,
    say: Say = lambda text: None,
    quiet: bool = True,
) -> RunResult:
    """Carry out a recipe: make what is not there, in order, and record it.

    Args:
        recipe: from `lidr.load_recipe`, or the recipe's file.
        until: stop after this step of each iteration, or after one place, as `iter_1/pair`.
        rebuild: steps to make again, with all that follows: `pair`, or `iter_2/pair` for one iteration.
        allow_unpinned: pin an unpinned Hub model to the commit that it has now, and run.
        fresh: take nothing over from another version.
        accept_unknown_server: answers in the store without their server's address are of this recipe's server.
        say: told one line for each step.
        quiet: show no progress bars.

    Returns:
        The plan as it stands afterwards, with `.account`, `.scores`, `.pairs`, `.policy` and `.report`.

    Raises:
        As `lidr.pipeline.run`.
    """
    read = _read(recipe)
    folder = Store(store_root(read.runtime.store, read.folder)).version_folder(read.name, read.version)
    with pipeline.kept_in(folder, command="lidr.run"):
        made = pipeline.run(
            read,
            until=until,
            rebuild=rebuild,
            allow_unpinned=allow_unpinned,
            fresh=fresh,
            accept_unknown_server=accept_unknown_server,
            say=say,
            quiet=quiet,
        )
    return RunResult.of(made)


def _read(recipe: Recipe | Path | str) -> Recipe:
    return load_recipe(recipe) if isinstance(recipe, str | Path) else recipe


def build_pairs(
    recipe: Recipe | Path | str, *, fresh: bool = False, say: Say = lambda text: None, quiet: bool = True
) -> RunResult:
    """Make the preference pairs of the first iteration, and of later ones as far as they need no training.

    Args:
        recipe: from `lidr.load_recipe`, or the recipe's file.
        fresh: take nothing over from another version.

    Returns:
        The result, whose `.pairs` are the pairs.

    Raises:
        PlanError: no step of the recipe makes pairs. Else as `lidr.run`.
    """
    read = _read(recipe)
    makers = [step.name for step in read.chain if STEPS[step.name].writes is Pair]
    if not makers:
        raise PlanError(f"{read.name}: no step of its chain makes pairs; add `pair`, or `pairs` for sets of others")
    return run(read, until=makers[-1], fresh=fresh, say=say, quiet=quiet)


def publish(
    recipe: Recipe | Path | str,
    *,
    pairs: str | None = None,
    policy: str | None = None,
    private: bool = False,
    adapter_only: bool = False,
    say: Say = lambda text: None,
) -> tuple[Published, ...]:
    """Publish a finished run: each repository in one commit, verified, tagged last.

    Which Hub, and as whom, is the environment's (HF_ENDPOINT, HF_TOKEN) or the recipe's `runtime.hub`.

    Args:
        recipe: from `lidr.load_recipe`, or the recipe's file.
        pairs, policy: data set and model repository, org/name; where one is named, only what is named is published.
            Default: those of the recipe's publish step.
        private: make new repositories private.
        adapter_only: the LoRA adapter, not the merged model.

    Returns:
        What was published where; `.url` is its page.

    Raises:
        HubError: the run is not finished, or a Hub refuses.
    """
    read = _read(recipe)
    finished, to = finished_release(read, pairs=pairs, policy=policy, private=private, adapter_only=adapter_only)
    store = Store(store_root(read.runtime.store, read.folder))
    with hub_for(store.root, embedded=read.runtime.hub == "embedded") as (target, _):
        published = release(finished, to, target=target, say=say)
    note_published(store.version_folder(read.name, read.version), [found.repo for found in published])
    return published


def finished_release(
    recipe: Recipe,
    *,
    pairs: str | None = None,
    policy: str | None = None,
    private: bool = False,
    adapter_only: bool = False,
    rename_default: str | None = None,
    words: str | None = None,
) -> tuple[Finished, Destinations]:
    """The run of a recipe, complete and as the recipe says, and where it goes.

    Args:
        rename_default: the name that a configuration `default` of others is to have beside the pairs.
        words: that name the recipe to a command, for messages.

    Raises:
        HubError: the run is not finished, was made by other settings, or nothing says where it goes.
    """
    config: Any = next((step.config for step in recipe.chain if step.name == "publish"), None)
    to = destinations(config) if config is not None else Destinations(None, None)
    if pairs or policy:
        to = replace(to, pairs=pairs, policy=policy)
    to = replace(
        to,
        private=to.private or private,
        adapter_only=to.adapter_only or adapter_only,
        rename_default=rename_default,
    )
    to.check()
    for step in plan(recipe).to_make:
        why = f": {'; '.join(step.why)}" if step.why else ""
        if step.state == "skipped":
            raise HubError(
                f"{step.place} was left out{why}. A run that was stopped is not published: change what the gate found, "
                "or the gate, and run it under a new version"
            )
        again = f"lidr run {words}" if words else "lidr.run(recipe)"
        raise HubError(
            f"{step.place} is not finished (`{step.state}`){why}. Only a finished run can be published: {again}"
        )
    return finished_for(recipe, config, Store(store_root(recipe.runtime.store, recipe.folder))), to
