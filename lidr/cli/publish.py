"""`lidr publish RECIPE`: publish a finished run of the store to a Hub, and print how to load it from there."""

from __future__ import annotations

import argparse
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from lidr.cli.common import print_json, print_table, read_recipe, recipe_arguments, say
from lidr.errors import HubError
from lidr.hub_server import hub_for

if TYPE_CHECKING:
    from lidr.recipe import Recipe
    from lidr.release import Destinations, Finished


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    recipe_arguments(parser)
    repository_arguments(parser)
    parser.add_argument("--private", action="store_true", help="make new repositories private")
    parser.add_argument(
        "--rename-default",
        metavar="NAME",
        help="give a configuration `default` of others in the data set repository another name, so that both load",
    )
    parser.add_argument("--dry-run", action="store_true", help="show what would be sent, and send nothing")


def repository_arguments(parser: argparse.ArgumentParser) -> None:
    """Where it goes, when the recipe does not say or something else is wanted."""
    parser.add_argument("--pairs", metavar="REPO", help="data set repository, org/name; default: the recipe's publish")
    parser.add_argument("--policy", metavar="REPO", help="model repository, org/name; default: the recipe's publish")
    parser.add_argument("--adapter-only", action="store_true", help="the LoRA adapter, not the merged model")


def main(options: argparse.Namespace) -> int:
    """Publish, or show what would be."""
    from lidr.release import loading_lines, release
    from lidr.store import store_root

    recipe = read_recipe(options)
    run, to = finished(recipe, options)
    if options.dry_run:
        return _show_files(run, to, options)
    is_embedded = recipe.runtime.hub == "embedded"
    with hub_for(store_root(recipe.runtime.store), embedded=is_embedded) as (target, embedded):
        published = release(run, to, target=target, say=say)
    lines = loading_lines(published, f"iter_{run.iterations[-1]}", embedded)
    if options.json:
        print_json("lidr.publish/1", {"published": [asdict(found) for found in published], "load": lines})
        return 0
    rows = [(found.repo, found.tag, found.sha, found.state) for found in published]
    print_table(("repository", "tag", "commit", ""), rows, left=4)
    print(f"\nLoad it:\n\n{lines}")
    return 0


def finished(recipe: Recipe, options: argparse.Namespace) -> tuple[Finished, Destinations]:
    """The run of a recipe, complete and as the recipe says, and where it goes.

    Raises:
        HubError: the run is not finished, or was made by other settings.
    """
    from lidr.release import Destinations
    from lidr.steps import destinations, finished_for
    from lidr.store import Store, store_root

    config: Any = next((step.config for step in recipe.chain if step.name == "publish"), None)
    to = destinations(config) if config is not None else Destinations(None, None)
    to = replace(
        to,
        pairs=options.pairs or to.pairs,
        policy=options.policy or to.policy,
        private=to.private or getattr(options, "private", False),
        adapter_only=to.adapter_only or options.adapter_only,
        rename_default=getattr(options, "rename_default", None),
    )
    to.check()
    _refuse_unfinished(recipe, options.recipe)
    return finished_for(recipe, config, Store(store_root(recipe.runtime.store))), to


def _refuse_unfinished(recipe: Recipe, file: str) -> None:
    from lidr.pipeline import KEPT, plan

    for step in plan(recipe).steps:
        if step.state not in KEPT and step.name != "publish":
            why = f": {'; '.join(step.why)}" if step.why else ""
            raise HubError(f"{step.place} is {step.state}{why}. Only a finished run can be published: lidr run {file}")


def _show_files(run: Finished, to: Destinations, options: argparse.Namespace) -> int:
    from lidr.release import staged

    shown = []
    for what, repo in (("pairs", to.pairs), ("policy", to.policy)):
        if repo is None:
            continue
        with staged(run, to, what=what) as files:
            sizes = {path: file.stat().st_size for path, file in files.files.items()}
            card = len(files.card(None).encode())
            shown.append(
                {"repo": repo, "tag": files.tag, "digest": files.digest, "files": {"README.md": card, **sizes}}
            )
    if options.json:
        print_json("lidr.publish.dry_run/1", {"would_publish": shown})
        return 0
    for release in shown:
        print(f"{release['repo']} {release['tag']}, content {str(release['digest'])[:12]}")
        files_of: Any = release["files"]
        print_table(("file", "bytes"), [(path, f"{size:,}") for path, size in files_of.items()])
        print()
    return 0
