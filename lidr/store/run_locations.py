"""Find the artifact that a `run:` reference names."""

from __future__ import annotations

from lidr.errors import StoreError
from lidr.recipe import Recipe
from lidr.references import RunReference
from lidr.store.artifact import Artifact, open_artifact
from lidr.store.store import Store, store_root


def locate(reference: RunReference, recipe: Recipe | None = None) -> Artifact:
    """Open the artifact; without a version the newest, without a step the last policy of the run.

    Raises:
        StoreError: no such run, version or step; the message says what there is.
    """
    store = Store(store_root(recipe.runtime.store, recipe.folder) if recipe else store_root())
    versions = store.versions(reference.name)
    if not versions:
        raise StoreError(
            f"{reference}: the store {store.root} has no run {reference.name}; it has "
            f"{', '.join(store.runs()) or 'none'}. --store FOLDER or LIDR_STORE names another"
        )
    version = reference.version or versions[-1]
    if version not in versions:
        raise StoreError(f"{reference}: {reference.name} has the versions {', '.join(versions)}")
    if reference.step is not None:
        return open_artifact(store.folder(reference.name, version, f"iter_{reference.iteration}/{reference.step}"))
    policies = [
        (record.iteration, folder)
        for folder, record in store.records_of(reference.name, version)
        if record.writes == "policy"
    ]
    if not policies:
        raise StoreError(f"{reference}: version {version} has no trained policy yet; name a step, as /iter_0/policy")
    return open_artifact(max(policies)[1])
