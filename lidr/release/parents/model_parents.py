"""The models that a release is made from, each with pin and licence: the first policy, who translated for it, and whom
its scorers asked.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterable, Iterator
from typing import Any

from lidr.hub import without_paths
from lidr.recipe import Recipe, Translator
from lidr.references import DistReference, FolderReference, HubReference, ServerReference, parse_reference
from lidr.release.parents.licences import Parent
from lidr.store import Record, folder_sha256

HUB = "https://huggingface.co"


def base_model(recipe: Recipe, first_policy: Record) -> HubReference | None:
    """The first policy, where it is a Hub model as it is there; its revision is the commit that the run used."""
    reference = parse_reference(recipe.policy.model)
    if not isinstance(reference, HubReference) or recipe.policy.adapter is not None:
        return None
    used = first_policy.identity.get("outside", {}).get("revision")
    return HubReference(reference.repo, used)


def policy_parent(recipe: Recipe, first_policy: Record, licence: str | None) -> Parent:
    """The first policy, with the licence that the user gives it, else what its distribution says; of a model and an
    adapter nobody but the user can say it.
    """
    if recipe.policy.adapter is not None:
        both = " with ".join(map(without_paths, (recipe.policy.model, recipe.policy.adapter)))
        return Parent("policy", both, first_policy.digest, licence)
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
    """Who translated answers or prompts in the policy's place, with the licence that the recipe gives it
    (`translate.by.license`); once where it is the same for both.
    """
    chain = next((step.config for step in recipe.chain if step.name == "translate"), None)
    settings = (("translate", chain), ("parallel", recipe.parallel))
    found = [_translator(config.by, step, records) for step, config in settings if config and config.by]
    yield from dict.fromkeys(found)


def _translator(by: Translator, step: str, records: Iterable[Record]) -> Parent:
    outside: dict[str, Any] = next((r.identity["outside"]["translator"] for r in records if r.step == step), {})
    return _model("translator", by.model or by.file or "", is_file=not by.model, outside=outside, licence=by.license)


def scorer_parents(recipe: Recipe, records: Iterable[Record]) -> Iterator[Parent]:
    """The models that scorers brought along, a reference, a reward model or an estimator, with the licence that the
    recipe gives it (`score.NAME.license`, `score.mt_quality.estimator.license`).
    """
    chain = next((step.config for step in recipe.chain if step.name == "score"), None)
    outside: dict[str, Any] = next((r.identity["outside"] for r in records if r.step == "score"), {})
    brought = chain.brought if chain else ()
    found = [_model("scorer", one.model, outside=outside.get(name, {}), licence=of) for name, one, of in brought]
    yield from dict.fromkeys(found)


def _model(role: str, named: str, *, is_file: bool = False, outside: dict[str, Any], licence: str | None) -> Parent:
    pin = outside.get("revision") or outside.get("sha256")
    if pin is None and "files" in outside:
        pin = folder_sha256(outside["files"])
    reference = FolderReference(named) if is_file else parse_reference(named)
    if isinstance(reference, HubReference):
        link = f"{HUB}/{reference.repo}" + (f"/tree/{pin}" if pin else "")
        return Parent(role, reference.repo, pin, licence, link)
    if isinstance(reference, DistReference):
        return Parent(role, str(reference), pin, licence or dist_licence(reference.package))
    name = reference.model if isinstance(reference, ServerReference) else without_paths(named)
    return Parent(role, name, pin, licence)


def dist_licence(package: str) -> str | None:
    """What the distribution says of itself, as the Hub writes it."""
    try:
        metadata = importlib.metadata.metadata(package)
    except importlib.metadata.PackageNotFoundError:
        return None
    given = next((str(metadata[name]) for name in ("License-Expression", "License") if name in metadata), "")
    return given.strip().lower() or None
