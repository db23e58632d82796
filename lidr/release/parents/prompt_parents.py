"""Where a release's prompts come from, with the licence that the recipe gives them."""

from __future__ import annotations

from collections.abc import Iterable

from lidr.hub import DATASETS, without_paths
from lidr.recipe import PromptsConfig
from lidr.release.parents.licences import Parent
from lidr.release.parents.model_parents import HUB
from lidr.store import Record


def prompts_parent(prompts: PromptsConfig, records: Iterable[Record]) -> Parent:
    """The prompts: a Hub data set by its commit, anything else by its name."""
    outside: dict[str, str] = next(
        (r.identity["outside"] for r in records if r.writes == "prompts" and "outside" in r.identity), {}
    )
    if "dataset" not in outside:
        return Parent("prompts", without_paths(prompts.source), None, prompts.license)
    repo, revision = outside["dataset"].removeprefix(DATASETS), outside["revision"]
    return Parent("prompts", repo, revision, prompts.license, f"{HUB}/datasets/{repo}/tree/{revision}")
