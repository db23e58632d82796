"""The recipe of a release, as it was written, ready to run: with its files, in a folder of its own, no pushing."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import yaml

from lidr.errors import HubError, LidrError
from lidr.pipeline import load_recipe
from lidr.recipe import Recipe
from lidr.release import RUN, OpenedRelease

OF_THE_PUBLISHER = "of-the-publisher"
"""Stands for a folder of the machine that published: nothing is there."""


def recipe_of(release: OpenedRelease, work: Path) -> Recipe:
    """Write the recipe below `work` and load it; a file that the release brought along is read from it.

    Raises:
        HubError: the release holds no whole recipe, or one that this lidr does not read.
    """
    data = copy.deepcopy(release.run.get("written"))
    resolved = release.run.get("resolved")
    if not isinstance(data, dict) or not isinstance(resolved, dict):
        raise HubError(f"{release.found}: {RUN} holds no whole recipe; the release is damaged, or of an older lidr")
    data = _without_folders({**data, "runtime": resolved["runtime"], "iterations": resolved["iterations"]}, work)
    data.pop("authors_compat", None)  # the fields that it sets are there; a file of theirs now stands elsewhere
    for brought in release.run.get("files", []):
        _set(data, str(brought["setting"]), str((release.folder / _inside(release, brought["path"])).resolve()))
    data["runtime"] = {
        **{key: value for key, value in data.get("runtime", {}).items() if key not in ("report_to", "push", "store")},
        "store": str(work / "store"),
    }
    path = work / "recipe.yaml"
    path.write_text(yaml.safe_dump(data, sort_keys=False, allow_unicode=True), encoding="utf-8")
    try:
        return load_recipe(str(path))
    except LidrError as error:
        raise HubError(
            f"{release.found}: its recipe, as {RUN} has it, cannot be read by this lidr:\n{error}\nIt was made with "
            f"lidr {release.run.get('lidr')}; install that version to reproduce it"
        ) from error


def _inside(release: OpenedRelease, path: Any) -> str:
    if not isinstance(path, str) or not path.startswith("lidr/files/") or ".." in path:
        raise HubError(f"{release.found}: {RUN} names the file {path!r}; files of a release stand in lidr/files/")
    return path


def _without_folders(value: Any, work: Path) -> Any:
    """Folders of the machine that published, as folders of ours that are not there."""
    if isinstance(value, str) and value.startswith("<folder>/"):
        return str(work / OF_THE_PUBLISHER / value.removeprefix("<folder>/"))
    if isinstance(value, dict):
        return {key: _without_folders(child, work) for key, child in value.items()}
    if isinstance(value, list):
        return [_without_folders(child, work) for child in value]
    return value


def _set(data: dict[str, Any], setting: str, value: str) -> None:
    """Set `chain.pair.translation_type.ids` or `runtime.answers`."""
    first, *rest = setting.split(".")
    target: Any = data.get(first)
    if first == "chain":
        target = next((entry for entry in data["chain"] if rest[0] in entry), None)
    *above, last = rest
    for part in above:
        target = target.get(part) if isinstance(target, dict) else None
    if isinstance(target, dict):
        target[last] = value
