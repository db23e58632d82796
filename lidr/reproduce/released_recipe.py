"""The recipe of a release, as it was written, ready to run: with its files, in a folder of its own, no pushing.

It was written by others, so it reads nothing of this machine: the release's own files, what ships with lidr, and what
the user names as LIDR_DATA. Any other path becomes one of the publisher's machine, where nothing is.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any, get_args

import yaml

from lidr.confined import below, why_unconfined
from lidr.engines import arguments_of_others
from lidr.errors import HubError, LidrError
from lidr.pipeline import load_recipe
from lidr.recipe import Dtype, Recipe
from lidr.release import RUN, OpenedRelease
from lidr.resources import shared
from lidr.steps import InitialPolicy, recipe_with_dtype

OF_THE_PUBLISHER = "of-the-publisher"
"""Stands for a folder of the machine that published: nothing is there."""
FILES = "lidr/files"


_MOST_ITERATIONS = 1000
_LARGEST = {"engine_batch": 4096, "micro_batch": 4096, "tensor_parallel": 64, "threads": 1024, "save_steps": 10**6}
"""Of `runtime`, where a recipe of others could ask for more than a machine has."""
_OF_THEIR_MACHINE = frozenset(
    {"report_to", "push", "store", "hub", "replicas", "cluster", "train_processes", "sharding", "accelerate_config"}
)
"""Of `runtime`, what says nothing of the result and much of where it was made."""
_NO_PATHS = ("system_prompt", "license", "provenance", "name", "version")
_PATHS = ("source", "answers", "file", "against", "ids", "rules", "data", "template", "gold", "dataset", "training")
"""Settings that are looked for in the working folder, too, without a ./ before them."""


def recipe_of(release: OpenedRelease, work: Path) -> Recipe:
    """Write the recipe below `work` and load it; a file that the release brought along is read from it.

    Raises:
        HubError: the release holds no whole recipe, or one that this lidr does not read.
    """
    data = copy.deepcopy(release.run.get("written"))
    resolved = release.run.get("resolved")
    if not isinstance(data, dict) or not isinstance(resolved, dict):
        raise HubError(f"{release.found}: {RUN} holds no whole recipe; the release is damaged, or of an older lidr")
    if len(resolved["iterations"]) > _MOST_ITERATIONS:
        raise HubError(
            f"{release.found}: {len(resolved['iterations']):,} iterations; at most {_MOST_ITERATIONS} are made"
        )
    data = {**data, "runtime": resolved["runtime"], "iterations": resolved["iterations"]}
    data = confined(data, work)
    data.pop("authors_compat", None)  # the fields that it sets are there; a file of theirs now stands elsewhere
    for brought in release.run.get("files", []):
        _set(data, str(brought["setting"]), str(_inside(release, brought["path"]).resolve()))
    kept = {key: value for key, value in data["runtime"].items() if key not in _OF_THEIR_MACHINE}
    data["runtime"] = {**kept, "store": str(work / "store")}
    for name, most in _LARGEST.items():
        if isinstance(value := kept.get(name), int) and value > most:
            raise HubError(f"{release.found}: runtime.{name} {value}: at most {most} in a recipe of others")
    _limit_vllm(data["runtime"], release)
    path = work / "recipe.yaml"
    path.write_text(yaml.safe_dump(data, sort_keys=False, allow_unicode=True), encoding="utf-8")
    try:
        return _with_dtype(load_recipe(str(path), alone=True), release)
    except LidrError as error:
        raise HubError(
            f"{release.found}: its recipe, as {RUN} has it, cannot be read by this lidr:\n{error}\nIt was made with "
            f"lidr {release.run.get('lidr')}; install that version to reproduce it"
        ) from error


def _limit_vllm(runtime: dict[str, Any], release: OpenedRelease) -> None:
    """Of vLLM's arguments, those that made the texts."""
    given = runtime.pop("vllm", None)
    try:
        told = arguments_of_others(given) if isinstance(given, dict) else {}
    except ValueError as error:
        raise HubError(f"{release.found}: {error}") from None
    if told:
        runtime["vllm"] = told


def _with_dtype(recipe: Recipe, release: OpenedRelease) -> Recipe:
    """`dtype: auto` as it was resolved when the release was made."""
    first = next((r for r in release.records.values() if r.writes == InitialPolicy.name), None)
    said = first.identity.get("config", {}).get("dtype") if first and recipe.policy.dtype == "auto" else None
    known = next((dtype for dtype in get_args(Dtype) if dtype == said), None)
    return recipe_with_dtype(recipe, known) if known else recipe


def _inside(release: OpenedRelease, path: str) -> Path:
    try:
        return below(release.folder / FILES, path.removeprefix(f"{FILES}/") if path.startswith(f"{FILES}/") else "")
    except ValueError:
        raise HubError(
            f"{release.found}: {RUN} names the file {path[:200]!r}; files of a release stand in {FILES}/"
        ) from None


def confined(value: Any, work: Path, key: str = "") -> Any:
    """The settings of a recipe of others, with each path that leads to this machine as one that leads nowhere."""
    if isinstance(value, dict):
        return {name: child if name in _NO_PATHS else confined(child, work, name) for name, child in value.items()}
    if isinstance(value, list):
        return [confined(child, work, key) for child in value]
    if not isinstance(value, str) or not (rest := _leads_out(value, key)):
        return value
    return str(work / OF_THE_PUBLISHER / rest)


def _leads_out(text: str, key: str) -> str | None:
    """What a path of the publisher's machine is called below ours; None where the text leads to nothing there."""
    if text.startswith("<folder>/"):
        return _tame(text.removeprefix("<folder>/"))
    if text.startswith("$LIDR_DATA"):
        rest = text.removeprefix("$LIDR_DATA")
        is_inside = rest in ("", "/") or (rest.startswith("/") and why_unconfined(rest.strip("/")) is None)
        return None if is_inside else _tame(rest)
    if text.startswith(("/", "~", "../")) or text in (".", ".."):
        return _tame(text)
    name = text.removeprefix("./")
    is_path = name != text or (key in _PATHS and not text.startswith(("run:", "dist:", "openai:")) and "@" not in text)
    return _tame(text) if is_path and (why_unconfined(name) or _is_only_here(name)) else None


def _is_only_here(text: str) -> bool:
    """Whether the working folder has it and lidr does not: what ships with lidr everybody has."""
    return Path(text).exists() and not (shared("recipes").parent / text).exists()


def _tame(text: str) -> str:
    """A name below a folder of ours that reads like the path it stands for."""
    parts = [part for part in text.replace("\\", "/").split("/") if part.strip(" .~")]
    name = "/".join(parts[-3:])
    return name if why_unconfined(name) is None else "unnamed"


def _set(data: dict[str, Any], setting: str, value: str) -> None:
    """Set `chain.pair.translation_type.ids` or `runtime.answers`."""
    first, *rest = setting.split(".")
    if not rest:
        return
    target: Any = data.get(first)
    if first == "chain":
        target = next((entry for entry in data["chain"] if rest[0] in entry), None)
    *above, last = rest
    for part in above:
        target = target.get(part) if isinstance(target, dict) else None
    if isinstance(target, dict):
        target[last] = value
