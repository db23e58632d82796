"""Pins: the commit that a Hub model or data set has, and what stands there, resolved once and written to
recipe.lock.json.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from lidr.errors import HubError
from lidr.hub.client import Target
from lidr.hub.snapshot import DATASETS, Entry, content_digest, listing
from lidr.recipe.schema import PolicyConfig, Recipe
from lidr.references import UNPINNED, HubReference, parse_reference
from lidr.store.lock_file import Content, read_contents, read_lock, write_lock


def unpinned(recipe: Recipe) -> list[HubReference]:
    """What the recipe names no commit of: Hub models (its policy, and those that a step names in `models`), and the
    data sets of its prompts, as `datasets/org/name`.
    """
    from lidr.hub.published import datasets_of

    found = [reference for model, reference in _hub_models(recipe) if model.pinned is None]
    return [*found, *datasets_of(recipe), *(one for one in _pair_sets(recipe) if not one.is_pinned)]


def _pair_sets(recipe: Recipe) -> list[HubReference]:
    """The data sets of pairs that a step names in `datasets`, as `datasets/org/name`."""
    return [one for step in recipe.chain for one in getattr(step.config, "datasets", ())]


def _hub_models(recipe: Recipe) -> list[tuple[PolicyConfig, HubReference]]:
    models = [recipe.policy, *(model for step in recipe.chain for model in getattr(step.config, "models", ()))]
    references = [(model, parse_reference(model.model)) for model in models]
    return [(model, found) for model, found in references if isinstance(found, HubReference)]


def pin(recipe: Recipe, version_folder: Path, *, refresh: bool = False) -> dict[str, str]:
    """Write the commit of what the recipe leaves unpinned to the lock, and the content of every commit that it reads;
    what is locked already stays, unless refreshed.

    Returns:
        Repository -> commit, as it now stands in the lock.

    Raises:
        HubError: the Hub gives no commit, or no list of its files.
    """
    locked, contents = read_lock(version_folder), read_contents(version_folder)
    before = dict(locked), dict(contents)
    requested: dict[str, str | None] = {}
    for reference in unpinned(recipe):
        if refresh or reference.repo not in locked:
            locked[reference.repo] = resolve(reference.repo, reference.revision)
            requested[reference.repo] = None if reference.revision == UNPINNED else reference.revision
    contents = {
        name: contents.get(name) or _content(name, requested.get(name.partition("@")[0]))
        for name in _commits(recipe, locked)
    }
    if (locked, contents) != before:
        write_lock(version_folder, locked, contents)
    return locked


def _commits(recipe: Recipe, locked: Mapping[str, str]) -> list[str]:
    """`org/name@commit` of everything that is read."""
    named = [f"{reference.repo}@{model.pinned}" for model, reference in _hub_models(recipe) if model.pinned]
    named += [f"{one.repo}@{one.revision}" for one in _pair_sets(recipe) if one.is_pinned]
    return sorted({*named, *_of_evaluations(recipe), *(f"{repo}@{sha}" for repo, sha in locked.items())})


def _of_evaluations(recipe: Recipe) -> Iterator[str]:
    """The judge's model and the data sets of rows, where a step names them by their commit."""
    for step in recipe.chain:
        judge, data = getattr(step.config, "judge", None), getattr(step.config, "data", ())
        rows = data if isinstance(data, tuple) else ()
        for prefix, text in (("", getattr(judge, "model", None)), *((DATASETS, text) for text in rows)):
            if isinstance(text, str) and re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{40}", text):
                yield prefix + text


def _content(name: str, requested: str | None) -> Content:
    repo, _, sha = name.partition("@")
    entries = listing(repo, sha)
    return Content(requested, content_digest(entries), len(entries))


def locked_digest(version_folder: Path, repo: str, sha: str) -> str | None:
    """What the lock says of the content of a commit; None where it says nothing."""
    found = read_contents(version_folder).get(f"{repo}@{sha}")
    return found.digest if found else None


def keep_content(version_folder: Path, repo: str, sha: str) -> None:
    """Write to the lock what stands at a commit that was read, where the lock does not say it yet."""
    if locked_digest(version_folder, repo, sha) is None:
        contents = read_contents(version_folder)
        name = f"{repo}@{sha}"
        write_lock(version_folder, read_lock(version_folder), {**contents, name: _content(name, None)})


@dataclass(frozen=True)
class Change:
    """What refreshing a pin changed.

    Args:
        old, new: commits; None where there was none.
        files: the files that differ, each with + (new), - (gone) or ~ (other content) before it; None where the Hub
            does not say any more what the old commit held.
    """

    repo: str
    requested: str | None
    old: str | None
    new: str
    files: tuple[str, ...] | None = ()


def changes(before: Mapping[str, str], version_folder: Path) -> list[Change]:
    """What stands in the lock now, against what stood there before."""
    contents = read_contents(version_folder)
    found = []
    for repo, new in read_lock(version_folder).items():
        old, content = before.get(repo), contents.get(f"{repo}@{new}")
        files = () if old in (None, new) else _differing(repo, str(old), new)
        found.append(Change(repo, content.requested if content else None, old, new, files))
    return found


def _differing(repo: str, old: str, new: str) -> tuple[str, ...] | None:
    try:
        was, now = _by_path(listing(repo, old)), _by_path(listing(repo, new))
    except HubError:
        return None
    marks = [(path, "-" if path not in now else "+" if path not in was else "~") for path in sorted({*was, *now})]
    return tuple(f"{mark}{path}" for path, mark in marks if was.get(path) != now.get(path))


def _by_path(entries: tuple[Entry, ...]) -> dict[str, str]:
    return {entry.path: entry.content_id for entry in entries}


def moved(contents: Mapping[str, Content], *, target: Target | None = None) -> list[str]:
    """What a Hub says now of the tags and branches that were locked: one line for each that moved or is gone.

    Raises:
        HubError: it cannot be asked.
    """
    from huggingface_hub.errors import RevisionNotFoundError

    lines = []
    for name, content in contents.items():
        repo, _, sha = name.partition("@")
        if content.requested is None:
            continue
        try:
            now = resolve(repo, content.requested, target=target)
        except HubError as error:
            if not isinstance(error.__cause__, RevisionNotFoundError):
                raise
            lines.append(f"{repo}: {content.requested} is gone; it was {sha} when it was locked")
            continue
        if now != sha:
            lines.append(f"{repo}: {content.requested} was {sha} when it was locked and is {now} now: it was moved")
    return lines


def resolve(repo: str, revision: str | None = None, *, target: Target | None = None) -> str:
    """The commit, 40 hex digits, that a branch or tag of a model, or of `datasets/org/name`, has now; without one, its
    main branch.

    Raises:
        HubError: the Hub cannot be asked, or gives none.
    """
    from huggingface_hub import HfApi

    api = target.api() if target else HfApi()
    try:
        ask, name = api.model_info, repo
        if repo.startswith(DATASETS):
            ask, name = api.dataset_info, repo.removeprefix(DATASETS)  # type: ignore[assignment]
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
