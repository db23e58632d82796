"""`lidr publish RECIPE`: publish a finished run of the store to a Hub, and print how to load it from there.

It goes to the Hub of HF_ENDPOINT and HF_TOKEN, or of `hf auth login`; without any of them to the Hub on this machine,
in the store's folder .hub. The first line says which.
"""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from lidr.cli.common import print_json, print_table, read_recipe, recipe_arguments, recipe_words, say
from lidr.hub import is_client_error, target_of_environment
from lidr.hub_server import hub_for

if TYPE_CHECKING:
    from lidr.hub import Target
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
    parser.add_argument(
        "--policy",
        metavar="REPO",
        help="model repository, org/name; default: the recipe's publish. Where --pairs or --policy is given, "
        "only what is named is published",
    )
    parser.add_argument("--adapter-only", action="store_true", help="the LoRA adapter, not the merged model")


def main(options: argparse.Namespace) -> int:
    """Publish, or show what would be."""
    from lidr.release import loading_lines, release
    from lidr.steps import unpublished_policy
    from lidr.store import Store, note_published, store_root

    recipe = read_recipe(options)
    run, to = finished(recipe, options)
    say(("would go to " if options.dry_run else "to ") + _hub_said(recipe))
    if (note := unpublished_policy(recipe)) is not None:
        say(f"note: {note}")
    if options.dry_run:
        say(f"a repository that does not exist yet is made {_readers(to.private)}")
        return _show_files(run, to, options)
    is_embedded = recipe.runtime.hub == "embedded"
    store = Store(store_root(recipe.runtime.store, recipe.folder))
    with hub_for(store.root, embedded=is_embedded) as (target, embedded):
        say(*_visibility(to, target))
        published = release(run, to, target=target, say=say)
    note_published(store.version_folder(recipe.name, recipe.version), [found.repo for found in published])
    lines = loading_lines(published, embedded)
    if options.json:
        print_json("lidr.publish/1", {"published": [asdict(found) for found in published], "load": lines})
        return 0
    rows = [(found.repo, found.tag, found.sha, found.state) for found in published]
    print_table(("repository", "tag", "commit", ""), rows, left=4)
    print(f"\nLoad it:\n\n{lines}")
    return 0


def _visibility(to: Destinations, target: Target) -> Iterator[str]:
    """Who can read what is published, of each repository; one that is there stays as it is."""
    from huggingface_hub.errors import RepositoryNotFoundError

    for repo, kind in ((to.pairs, "dataset"), (to.policy, "model")):
        if repo is None:
            continue
        try:
            found = target.api().repo_info(repo, repo_type=kind)
        except RepositoryNotFoundError:
            yield f"{repo}: a new repository, {_readers(to.private)}"
        except Exception as error:  # publishing asks again, with patience, and says what is wrong
            if not is_client_error(error):
                raise
            yield f"{repo}: where it does not exist yet, it is made {_readers(to.private)}"
        else:
            yield f"{repo} exists, and stays {'private' if found.private else 'public'}"


def _readers(is_private: bool) -> str:
    if is_private:
        return "private"
    return (
        "public: prompts, their ids and every answer can be read by all. --private, or publish.private: true, makes it "
        "private"
    )


def _hub_said(recipe: Recipe) -> str:
    """Where it goes, and how it would go elsewhere."""
    from lidr.store import store_root

    is_embedded = recipe.runtime.hub == "embedded"
    if not is_embedded and (target := target_of_environment()) is not None:
        return target.endpoint
    folder = store_root(recipe.runtime.store, recipe.folder) / ".hub"
    elsewhere = "write runtime.hub: environment, and " if is_embedded else ""
    return f"the Hub on this machine ({folder}); for huggingface.co: {elsewhere}hf auth login, or set HF_TOKEN"


def finished(recipe: Recipe, options: argparse.Namespace) -> tuple[Finished, Destinations]:
    """The run of a recipe, complete and as the recipe says, and where it goes.

    Raises:
        HubError: the run is not finished, or was made by other settings.
    """
    from lidr.api import finished_release

    return finished_release(
        recipe,
        pairs=options.pairs,
        policy=options.policy,
        private=getattr(options, "private", False),
        adapter_only=options.adapter_only,
        rename_default=getattr(options, "rename_default", None),
        words=shlex.join(recipe_words(options)),
    )


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
    licence = run.licence.identifier
    for release in shown:
        print(f"{release['repo']} {release['tag']}, licence {licence}, content {str(release['digest'])[:12]}")
        files_of: Any = release["files"]
        print_table(("file", "bytes"), [(path, f"{size:,}") for path, size in files_of.items()])
        print()
    return 0
