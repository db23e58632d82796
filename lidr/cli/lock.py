"""`lidr lock RECIPE`: resolve every Hub model and data set of a recipe to the commit it has now, and write recipe.lock.json."""

from __future__ import annotations

import argparse

from lidr.cli.common import print_json, read_recipe, recipe_arguments


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    recipe_arguments(parser)


def main(options: argparse.Namespace) -> int:
    """Ask the Hub, write the file, show what changed."""
    from lidr.hub.pins import pin, unpinned
    from lidr.references import UNPINNED
    from lidr.store.lock_file import LOCK_FILE, read_lock
    from lidr.store.store import Store, store_root

    recipe = read_recipe(options)
    folder = Store(store_root(recipe.runtime.store)).version_folder(recipe.name, recipe.version)
    old = read_lock(folder)
    new = pin(recipe, folder, refresh=True)
    if options.json:
        print_json("lidr.lock/1", {"file": str(folder / LOCK_FILE), "old": old, "new": new})
    elif not unpinned(recipe):
        print(f"{recipe.name}: nothing to lock; {recipe.policy.model} is no unpinned Hub model")
    else:
        for repo, commit in new.items():
            print(f"{repo}: {old.get(repo, UNPINNED)} -> {commit}")
        print(f"written to {folder / LOCK_FILE}")
    return 0
