"""What sets of pairs were made from, each with its licence: by a card, by lidr's own records, by a run in the store."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lidr.errors import HubError, StoreError
from lidr.hub import ForeignJsonError, load_foreign_json, read_front_matter, without_paths
from lidr.references import DistReference, HubReference, parse_reference, repository_of
from lidr.release.file_schemas import PublishedParents, fault
from lidr.release.parents.licences import Licence, Parent, overridden, strictest
from lidr.release.parents.model_parents import HUB, dist_licence
from lidr.store import RECORD_FILE, read_record, read_sealed


def read_card(path: Path) -> dict[str, Any]:
    """The metadata of a card; empty where there is none.

    Raises:
        HubError: they are no YAML, or the file is no UTF-8.
    """
    if not path.is_file():
        return {}
    try:
        return read_front_matter(path.read_text(encoding="utf-8"))[0]
    except UnicodeDecodeError as error:
        raise HubError(f"{path}: no UTF-8 text ({error.reason} at byte {error.start}); mend or remove it") from None
    except HubError as error:
        raise HubError(f"{path.parent}: {error}") from None


def parents_of_set(
    name: str, revision: str | None, card: Mapping[str, Any], run_json: Path, link: str | None
) -> tuple[Parent, ...]:
    """The set itself with the licence of its card, then what it was made from, by its own record.

    Raises:
        HubError: the record has another form.
    """
    at = f"{link}/tree/{revision}" if link and revision else None
    terms = _licence_link(card.get("license_link"), f"{link}/blob/{revision}" if at else None)
    return (Parent("pairs", name, revision, _licence(card.get("license")), at, terms), *_recorded(run_json))


def _licence_link(said: Any, files: str | None) -> str | None:
    """An absolute address as the card says it; a file of the set's own repository, below `files`; else None."""
    if not isinstance(said, str):
        return None
    if re.fullmatch(r"https?://[^\s()<>\[\]\"'`|\\]+", said):
        return said
    is_file = re.fullmatch(r"(\./)?[A-Za-z0-9][\w-]*(\.[\w-]+)*(/[A-Za-z0-9][\w-]*(\.[\w-]+)*)*", said)
    return f"{files}/{said.removeprefix('./')}" if files and is_file else None


def _licence(given: Any) -> str | None:
    """A card's licence; of several the strictest, for a reader cannot know which rows have which."""
    if not isinstance(given, list) or len(given) < 2:
        only = given[0] if isinstance(given, list) and given else given
        return str(only) if only else None
    return strictest([Parent("pairs", "", None, str(one)) for one in given]).identifier


def _recorded(run_json: Path) -> Iterator[Parent]:
    if not run_json.is_file():
        return
    try:
        content = load_foreign_json(run_json)
        wrong = fault(PublishedParents, content)
    except ForeignJsonError as error:
        wrong = str(error)
    if wrong:
        raise HubError(f"{run_json}: {wrong}; the release is damaged")
    for entry in content.get("parents", ()):
        yield Parent(entry["role"], entry["name"], entry.get("revision"), entry.get("license"))


def parents_of_run(version_folder: Path, name: str) -> tuple[Parent, ...]:
    """Prompts and policy of a run that was not published, by its run.json; of one that began with pairs, these.

    Raises:
        StoreError: run.json or a record is damaged.
    """
    path = version_folder / "run.json"
    if not path.is_file():
        return (Parent("pairs", name, None, None),)
    folders = sorted(found.parent for found in version_folder.glob(f"iter_*/pairs/{RECORD_FILE}"))
    if folders:
        counts = [record.counts for folder in folders if (record := read_record(folder)) is not None]
        return tuple(dict.fromkeys(parent for found in counts for parent in parents_of_mixture(found["sets"])))
    try:
        recipe = read_sealed(path)["recipe"]
        prompts = recipe["prompts"]
        named = prompts["source"], prompts["license"], recipe["policy"]["model"]
        if not isinstance(recipe["chain"], list) or not all(isinstance(text, str) for text in named):
            raise ValueError("no recipe as lidr writes it")
    except (ValueError, LookupError, TypeError) as error:
        raise _damaged(path, error) from None
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


def licence_of_run(version_folder: Path, parents: Sequence[Parent]) -> Licence:
    """The licence that the recipe of a run decides on (`publish.license`), else the strictest of its parents.

    Raises:
        StoreError: run.json is damaged.
    """
    path = version_folder / "run.json"
    if not path.is_file():
        return strictest(parents)
    try:
        said = [step["config"].get("license") for step in read_sealed(path)["recipe"]["chain"]]
        chosen = next(filter(None, said), None)
        if chosen is None:
            return strictest(parents)
        return overridden(chosen["id"], chosen["reason"], name=chosen.get("name"), link=chosen.get("link"))
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise _damaged(path, error) from None
    except HubError:  # publishing would refuse it
        return strictest(parents)


def _damaged(path: Path, error: Exception) -> StoreError:
    return StoreError(f"{path}: damaged ({error}). `lidr run RECIPE` writes it again")


def parents_of_mixture(sets: Sequence[Mapping[str, Any]]) -> tuple[Parent, ...]:
    """The sets that a `pairs` step has read, as its record names them."""
    return tuple(
        Parent("pairs", one["name"], one["revision"], one["license"], _link(one), one.get("license_link"))
        for one in sets
    )


def _link(one: Mapping[str, Any]) -> str | None:
    """A set on the Hub at its commit; None for a folder, a file, a run."""
    repo = repository_of({"role": "pairs", **one})
    return f"{HUB}/{repo}/tree/{one['revision']}" if repo else None
