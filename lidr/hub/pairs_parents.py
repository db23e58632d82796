"""What sets of pairs were made from, each with its licence: by a card, by lidr's own records, by a run in the store."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lidr.hub.facts import dist_licence
from lidr.hub.front_matter import read_front_matter
from lidr.hub.licences import Parent
from lidr.hub.scrub import without_paths
from lidr.references import DistReference, HubReference, parse_reference
from lidr.store.record import RECORD_FILE


def read_card(path: Path) -> dict[str, Any]:
    """The metadata of a card; empty where there is none.

    Raises:
        HubError: they are no YAML.
    """
    return read_front_matter(path.read_text(encoding="utf-8"))[0] if path.is_file() else {}


def parents_of_set(
    name: str, revision: str | None, card: Mapping[str, Any], run_json: Path, link: str | None
) -> tuple[Parent, ...]:
    """The set itself with the licence of its card, then what it was made from, by its own record."""
    given = card.get("license")
    licence = given[0] if isinstance(given, list) and given else given
    at = f"{link}/tree/{revision}" if link and revision else None
    itself = Parent("pairs", name, revision, str(licence) if licence else None, card.get("license_link") or at)
    return (itself, *_recorded(run_json))


def _recorded(run_json: Path) -> Iterator[Parent]:
    if run_json.is_file():
        for entry in json.loads(run_json.read_text(encoding="utf-8")).get("parents", ()):
            yield Parent(entry["role"], entry["name"], entry.get("revision"), entry.get("license"))


def parents_of_run(version_folder: Path, name: str) -> tuple[Parent, ...]:
    """Prompts and policy of a run that was not published, by its run.json; of one that began with pairs, these."""
    path = version_folder / "run.json"
    if not path.is_file():
        return (Parent("pairs", name, None, None),)
    recipe = json.loads(path.read_text(encoding="utf-8"))["recipe"]
    records = sorted(version_folder.glob(f"iter_*/pairs/{RECORD_FILE}"))
    if records:
        counts = [json.loads(record.read_text(encoding="utf-8"))["counts"] for record in records]
        return tuple(dict.fromkeys(parent for found in counts for parent in parents_of_mixture(found["sets"])))
    prompts = recipe["prompts"]
    return (Parent("prompts", without_paths(prompts["source"]), None, prompts["license"]), _policy(recipe))


def _policy(recipe: Mapping[str, Any]) -> Parent:
    model = recipe["policy"]["model"]
    said = [step["config"].get("policy_license") for step in recipe["chain"] if step["name"] == "publish"]
    licence = next((text for text in said if text), None)
    reference = parse_reference(model)
    if isinstance(reference, DistReference):
        licence = licence or dist_licence(reference.package)
    if isinstance(reference, HubReference):
        return Parent("policy", reference.repo, recipe["policy"].get("revision") or reference.revision, licence)
    return Parent("policy", without_paths(str(reference)), None, licence)


def parents_of_mixture(sets: Sequence[Mapping[str, Any]]) -> tuple[Parent, ...]:
    """The sets that a `pairs` step has read, as its record names them."""
    return tuple(Parent("pairs", one["name"], one["revision"], one["license"], one.get("link")) for one in sets)
