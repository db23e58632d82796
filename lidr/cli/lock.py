"""`lidr lock RECIPE`: resolve every Hub model of a recipe to the commit it has now, and write recipe.lock.json."""

from __future__ import annotations

import argparse

from lidr.cli.common import print_json, read_recipe, recipe_arguments
from lidr.errors import HubError
from lidr.references import UNPINNED, HubReference, parse_reference
from lidr.store.lock_file import read_lock, write_lock


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    recipe_arguments(parser)


def main(options: argparse.Namespace) -> int:
    """Ask the Hub, write the file, show what changed."""
    from lidr.pipeline import store_of

    recipe, _ = read_recipe(options)
    folder = store_of(recipe).version_folder(recipe.name, recipe.version)
    reference = parse_reference(recipe.policy.model)
    if (
        not isinstance(reference, HubReference)
        or (reference.revision or recipe.policy.revision or UNPINNED) != UNPINNED
    ):
        print(f"{recipe.name}: nothing to lock; {recipe.policy.model} is no unpinned Hub model")
        return 0
    old, new = read_lock(folder), {reference.repo: _commit(reference.repo)}
    path = write_lock(folder, old | new)
    if options.json:
        print_json("lidr.lock/1", {"file": str(path), "old": old, "new": old | new})
    else:
        for repo, commit in new.items():
            print(f"{repo}: {old.get(repo, UNPINNED)} -> {commit}")
        print(f"written to {path}")
    return 0


def _commit(repo: str) -> str:
    """The commit that the repository's main branch has now."""
    from huggingface_hub import HfApi

    try:
        sha = HfApi().model_info(repo).sha
    except Exception as error:  # the client has changed its HTTP library: its errors share no name
        raise HubError(
            f"{repo}: the Hub gave no commit ({type(error).__name__}). Check the name, your network and HF_ENDPOINT; "
            "for a gated model accept its licence on the Hub and run `hf auth login`"
        ) from error
    if sha is None:
        raise HubError(f"{repo}: the Hub answered without a commit; try again, or write the revision into the recipe")
    return sha
