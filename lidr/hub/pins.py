"""Pins: the commit that a Hub model or data set has, resolved once and written to recipe.lock.json."""

from __future__ import annotations

from pathlib import Path

from lidr.errors import HubError
from lidr.recipe.schema import Recipe
from lidr.references import UNPINNED, HubReference, parse_reference
from lidr.store.lock_file import read_lock, write_lock


def unpinned(recipe: Recipe) -> list[HubReference]:
    """What the recipe names no commit of: Hub models (its policy, and those that a step names in `models`), and the
    data sets of its prompts, as `datasets/org/name`.
    """
    from lidr.hub.published import datasets_of

    models = [recipe.policy, *(model for step in recipe.chain for model in getattr(step.config, "models", ()))]
    references = [(model, parse_reference(model.model)) for model in models]
    found = [found for model, found in references if isinstance(found, HubReference) and model.pinned is None]
    return [*found, *datasets_of(recipe)]


def pin(recipe: Recipe, version_folder: Path, *, refresh: bool = False) -> dict[str, str]:
    """Write the commit of what the recipe leaves unpinned to the lock; what is locked already stays, unless refreshed.

    Returns:
        Repository -> commit, as it now stands in the lock.

    Raises:
        HubError: the Hub gives no commit.
    """
    locked = read_lock(version_folder)
    for reference in unpinned(recipe):
        if refresh or reference.repo not in locked:
            locked[reference.repo] = resolve(reference.repo, reference.revision)
            write_lock(version_folder, locked)
    return locked


def resolve(repo: str, revision: str | None = None) -> str:
    """The commit, 40 hex digits, that a branch or tag of a model, or of `datasets/org/name`, has now; without one, its
    main branch.

    Raises:
        HubError: the Hub cannot be asked, or gives none.
    """
    from huggingface_hub import HfApi

    try:
        ask, name = HfApi().model_info, repo
        if repo.startswith("datasets/"):
            ask, name = HfApi().dataset_info, repo.removeprefix("datasets/")  # type: ignore[assignment]
        sha = ask(name, revision=None if revision == UNPINNED else revision).sha
    except Exception as error:  # the client has changed its HTTP library: its errors share no name
        raise away(repo, error) from error
    if sha is None:
        raise HubError(f"{repo}: the Hub answered without a commit; try again, or write the revision into the recipe")
    return sha


def away(repo: str, error: Exception) -> HubError:
    """Say that the Hub did not give a repository, and what to look at."""
    return HubError(
        f"{repo}: the Hub did not give it ({type(error).__name__}). Check the name, your network and HF_ENDPOINT; for "
        "a gated model accept its licence on the Hub and run `hf auth login`"
    )
