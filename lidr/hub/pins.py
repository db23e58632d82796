"""Pins: the commit that a Hub model or data set has, and what stands there, resolved once and written to
recipe.lock.json.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from lidr.errors import HubError, PlanError
from lidr.hub.client import Target
from lidr.hub.hub_errors import away
from lidr.hub.prompt_sources import datasets_of, prompt_dataset
from lidr.hub.snapshot import DATASETS, content_digest, listing
from lidr.recipe import PolicyConfig, Recipe
from lidr.references import UNPINNED, HubReference, parse_reference
from lidr.store import Content, Lock, read_whole_lock, write_lock

if TYPE_CHECKING:
    from huggingface_hub import HfApi

_MOST_TAGS = 12  # of a repository that are named


def unpinned(recipe: Recipe) -> list[HubReference]:
    """What the recipe names no commit of: Hub models (its policy, and those that a step names in `models`), and data
    sets, as `datasets/org/name`: those of its prompts, and those that a step names in `datasets`.

    Raises:
        PlanError: a data set stands in it at two revisions.
    """
    found = [reference for model, reference in _hub_models(recipe) if model.pinned is None]
    return [*found, *datasets_of(recipe), *_unpinned_sets(recipe)]


def _unpinned_sets(recipe: Recipe) -> list[HubReference]:
    sets = dict.fromkeys(one for one in _sets(recipe) if not one.is_pinned)
    for repo, count in Counter(one.repo for one in sets).items():
        if count > 1:
            revisions = " and ".join(one.revision or "its main branch" for one in sets if one.repo == repo)
            raise PlanError(
                f"{repo} stands in the recipe at two revisions, {revisions}; a lock holds one: name the other by its "
                "commit, 40 hex digits"
            )
    return list(sets)


def locked_commit(recipe: Recipe, one: HubReference, locked: Mapping[str, str]) -> str | None:
    """The commit at which a data set that a step names is read; None while it is not locked.

    Raises:
        PlanError: it stands in the recipe at two revisions.
    """
    if one.is_pinned:
        return one.revision
    _unpinned_sets(recipe)
    return locked.get(one.repo)


def _sets(recipe: Recipe) -> list[HubReference]:
    """The data sets that a step names in `datasets`, and that of the prompts, as `datasets/org/name`."""
    prompts = prompt_dataset(recipe)
    return [one for step in recipe.chain for one in getattr(step.config, "datasets", ())] + (
        [prompts] if prompts else []
    )


def _hub_models(recipe: Recipe) -> list[tuple[PolicyConfig, HubReference]]:
    configs = [recipe.parallel, *(step.config for step in recipe.chain)]
    models = [recipe.policy, *(model for config in configs for model in getattr(config, "models", ()))]
    references = [(model, parse_reference(model.model)) for model in models]
    return [(model, found) for model, found in references if isinstance(found, HubReference)]


def pin(recipe: Recipe, version_folder: Path, *, refresh: bool = False) -> dict[str, str]:
    """Write the commit of what the recipe leaves unpinned to the lock, and the content of every commit that it reads;
    what is locked already stays, unless refreshed: then the Hub is asked for every commit and content anew.

    Returns:
        Repository -> commit, as it now stands in the lock.

    Raises:
        HubError: the Hub gives no commit, or no list of its files.
    """
    before = read_whole_lock(version_folder)
    locked, contents = _still_named(recipe, before), before.contents
    requested: dict[str, str | None] = {}
    for reference in unpinned(recipe):
        requested[reference.repo] = _requested(reference)
        if refresh or reference.repo not in locked:
            locked[reference.repo] = resolve(reference.repo, reference.revision)
    names = _commits(recipe, locked)
    asked = {name: requested.get(name.partition("@")[0]) for name in names}
    kept = {} if refresh else contents
    contents = {name: kept.get(name) or _content(name, asked[name], anew=refresh) for name in names}
    if Lock(locked, contents) != before:
        write_lock(version_folder, locked, contents)
    return locked


def locked_for(recipe: Recipe, version_folder: Path) -> Lock:
    """The lock, but for commits of another tag or branch than the recipe names by now: v2 is not what v1 was.

    Raises:
        PlanError: a data set stands in the recipe at two revisions.
        StoreError: the lock is damaged.
    """
    lock = read_whole_lock(version_folder)
    return Lock(_still_named(recipe, lock), lock.contents)


def _still_named(recipe: Recipe, lock: Lock) -> dict[str, str]:
    asked = {reference.repo: _requested(reference) for reference in unpinned(recipe)} if lock.commits else {}
    others = {
        repo
        for repo, sha in lock.commits.items()
        if repo in asked and (content := lock.contents.get(f"{repo}@{sha}")) and content.requested != asked[repo]
    }
    return {repo: sha for repo, sha in lock.commits.items() if repo not in others}


def _requested(reference: HubReference) -> str | None:
    return None if reference.revision == UNPINNED else reference.revision


def _commits(recipe: Recipe, locked: Mapping[str, str]) -> list[str]:
    """`org/name@commit` of everything that is read."""
    named = [f"{reference.repo}@{model.pinned}" for model, reference in _hub_models(recipe) if model.pinned]
    named += [f"{one.repo}@{one.revision}" for one in _sets(recipe) if one.is_pinned]
    adapter = parse_reference(recipe.policy.adapter) if recipe.policy.adapter else None
    named += [str(adapter)] if isinstance(adapter, HubReference) else []
    return sorted({*named, *_of_evaluations(recipe), *(f"{repo}@{sha}" for repo, sha in locked.items())})


def _of_evaluations(recipe: Recipe) -> Iterator[str]:
    """The judge's model and the data sets of rows, where a step names them by their commit."""
    for step in recipe.chain:
        judge, data = getattr(step.config, "judge", None), getattr(step.config, "data", ())
        rows = data if isinstance(data, tuple) else ()
        for prefix, text in (("", getattr(judge, "model", None)), *((DATASETS, text) for text in rows)):
            if isinstance(text, str) and re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{40}", text):
                yield prefix + text


def _content(name: str, requested: str | None, *, anew: bool = False) -> Content:
    repo, _, sha = name.partition("@")
    entries = listing(repo, sha, anew=anew)
    return Content(requested, content_digest(entries), len(entries))


def keep_content(version_folder: Path, repo: str, sha: str) -> Content:
    """Write to the lock what stands at a commit that was read, where the lock does not say it yet; it is returned."""
    lock, name = read_whole_lock(version_folder), f"{repo}@{sha}"
    if name not in lock.contents:
        lock.contents[name] = _content(name, None)
        write_lock(version_folder, lock.commits, lock.contents)
    return lock.contents[name]


def resolve(repo: str, revision: str | None = None, *, target: Target | None = None) -> str:
    """The commit, 40 hex digits, that a branch or tag of a model, or of `datasets/org/name`, has now; without one, its
    main branch.

    Raises:
        HubError: the Hub cannot be asked, or gives none.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import RevisionNotFoundError

    api = target.api() if target else HfApi()
    try:
        ask, name = api.model_info, repo
        if repo.startswith(DATASETS):
            ask, name = api.dataset_info, repo.removeprefix(DATASETS)  # type: ignore[assignment]
        sha = ask(name, revision=None if revision == UNPINNED else revision).sha
    except RevisionNotFoundError as error:
        raise _no_revision(api, repo, revision) from error
    except Exception as error:  # the client has changed its HTTP library: its errors share no name
        raise away(repo, error) from error
    if sha is None:
        raise HubError(f"{repo}: the Hub answered without a commit; try again, or write the revision into the recipe")
    return sha


def _no_revision(api: HfApi, repo: str, revision: str | None) -> HubError:
    """Say which revision is not there, and which are."""
    kind = "dataset" if repo.startswith(DATASETS) else "model"
    try:
        refs = api.list_repo_refs(repo.removeprefix(DATASETS), repo_type=kind)
    except Exception:  # the client has changed its HTTP library; what is wrong can be said without the list
        return HubError(f"{repo}: no tag, branch or commit {revision}; write another one")
    tags, branches = ([ref.name for ref in found] for found in (refs.tags, refs.branches))
    more = f" and {len(tags) - _MOST_TAGS} more" if len(tags) > _MOST_TAGS else ""
    shown = f"tags {', '.join(sorted(tags)[-_MOST_TAGS:])}{more}" if tags else "no tags"
    return HubError(
        f"{repo}: no tag, branch or commit {revision or 'main'}: never there, or deleted. It has {shown}; "
        f"branches {', '.join(branches[:_MOST_TAGS]) or 'none'}"
    )
