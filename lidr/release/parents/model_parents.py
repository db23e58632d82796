"""The models that a release is made from, each with pin and licence: the first policy, and who translated for it."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterable, Iterator
from typing import Any

from lidr.hub import without_paths
from lidr.recipe import Recipe
from lidr.references import DistReference, FolderReference, HubReference, ServerReference, parse_reference
from lidr.release.parents.licences import Parent
from lidr.store import Record, folder_sha256

HUB = "https://huggingface.co"


def base_model(recipe: Recipe, first_policy: Record) -> HubReference | None:
    """The first policy, where it is a Hub model; its revision is the commit that the run used."""
    reference = parse_reference(recipe.policy.model)
    if not isinstance(reference, HubReference):
        return None
    used = first_policy.identity.get("outside", {}).get("revision")
    return HubReference(reference.repo, used)


def policy_parent(recipe: Recipe, first_policy: Record, licence: str | None) -> Parent:
    """The first policy, with the licence that the user gives it, else what its distribution says."""
    reference = parse_reference(recipe.policy.model)
    hub = base_model(recipe, first_policy)
    if hub is not None:
        link = f"{HUB}/{hub.repo}" + (f"/tree/{hub.revision}" if hub.revision else "")
        return Parent("policy", hub.repo, hub.revision, licence, link)
    if isinstance(reference, DistReference):
        licence = licence or dist_licence(reference.package)
        revision = first_policy.identity.get("outside", {}).get("sha256")
        return Parent("policy", str(reference), revision, licence)  # pinned by its SHA-256
    if isinstance(reference, ServerReference):
        return Parent("policy", reference.model, None, licence)
    if isinstance(reference, FolderReference):
        return Parent("policy", without_paths(reference.path), first_policy.digest, licence)
    return Parent("policy", str(reference), first_policy.digest, licence)


def translator_parents(recipe: Recipe, records: Iterable[Record]) -> Iterator[Parent]:
    """Who translated in the policy's place, with the licence that the recipe gives it (`translate.by.license`)."""
    step = next((step for step in recipe.chain if step.name == "translate"), None)
    by = step.config.by if step else None
    if by is None:
        return
    outside: dict[str, Any] = next((r.identity["outside"]["translator"] for r in records if r.step == "translate"), {})
    pin = outside.get("revision") or outside.get("sha256")
    if pin is None and "files" in outside:
        pin = folder_sha256(outside["files"])
    reference = parse_reference(by.model) if by.model else FolderReference(by.file)
    if isinstance(reference, HubReference):
        link = f"{HUB}/{reference.repo}" + (f"/tree/{pin}" if pin else "")
        yield Parent("translator", reference.repo, pin, by.license, link)
    elif isinstance(reference, DistReference):
        yield Parent("translator", str(reference), pin, by.license or dist_licence(reference.package))
    else:
        name = reference.model if isinstance(reference, ServerReference) else without_paths(by.model or by.file)
        yield Parent("translator", name, pin, by.license)


def dist_licence(package: str) -> str | None:
    """What the distribution says of itself, as the Hub writes it."""
    try:
        metadata = importlib.metadata.metadata(package)
    except importlib.metadata.PackageNotFoundError:
        return None
    given = next((str(metadata[name]) for name in ("License-Expression", "License") if name in metadata), "")
    return given.strip().lower() or None
