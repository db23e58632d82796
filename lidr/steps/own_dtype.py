"""The numbers of a checkpoint, as its config.json says it: what `policy.dtype: auto` stands for, and whether they are
packed.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

from lidr.errors import HubError, PlanError
from lidr.hub import cached_folder, read_file
from lidr.recipe import Dtype, Recipe
from lidr.references import FolderReference, HubReference, RunReference, parse_reference
from lidr.resources import resolve_source
from lidr.steps.policy_files import lies_elsewhere
from lidr.steps.step_kind import Surroundings
from lidr.store import locate
from lidr.weights import packed_by, refused_base


def with_own_dtype(around: Surroundings) -> Recipe:
    """The recipe with `auto` resolved; as it is where it names one, or where its model is not pinned yet.

    Raises:
        PlanError: config.json names no number format that lidr knows.
        HubError: the Hub does not give it.
    """
    recipe = around.recipe
    if recipe.policy.dtype != "auto":
        return recipe
    if (file := _config_file(around)) is None:
        return recipe
    return recipe_with_dtype(recipe, own_dtype(file) if file != Path() else "float32")


def halved_by_auto(around: Surroundings) -> Dtype | None:
    """The checkpoint's own number format, where the recipe's float32 takes twice its memory; None where it does not, or
    where the checkpoint is not on this machine.
    """
    reference = parse_reference(around.recipe.policy.model)
    if around.recipe.policy.dtype != "float32" or not isinstance(reference, FolderReference):
        return None
    folder = resolve_source(reference.path, around.recipe_folder) or Path(reference.path)
    try:
        found = own_dtype(folder / "config.json")
    except PlanError:
        return None
    return None if found == "float32" else found


def check_trainable(around: Surroundings, quantization: str | None) -> None:
    """Refuse to train a policy whose weights are packed in a way that lidr does not unpack.

    Args:
        quantization: of `train.load`.

    Raises:
        PlanError: it is; read in its config.json, where that is on this machine.
    """
    reference = parse_reference(around.recipe.policy.model)
    if isinstance(reference, HubReference):
        commit = around.recipe.policy.pinned or around.lock.commits.get(reference.repo)
        folder = cached_folder(reference.repo, commit) if commit else None
        file = folder / "config.json" if folder else None
    else:
        file = _config_file(around)
    if file is not None:
        refuse_packed(around.recipe.policy.model, packed_by(file), quantization)


def refuse_packed(model: str, method: str | None, quantization: str | None) -> None:
    """Refuse to train a model whose weights are packed by a method that is not unpacked, or are to be packed again.

    Raises:
        PlanError: they are.
    """
    if (why := refused_base(model, method, quantization=quantization)) is not None:
        less = "" if quantization else "; load: {quantization: nf4} beside lora trains that in little memory"
        raise PlanError(f"train: {why}{less}")


def recipe_with_dtype(recipe: Recipe, dtype: Dtype) -> Recipe:
    """The recipe, its policy in this number format."""
    return recipe.model_copy(update={"policy": recipe.policy.model_copy(update={"dtype": dtype})})


def own_dtype(config: Path) -> Dtype:
    """What a config.json names: `dtype`, or `torch_dtype` as transformers wrote it before version 5.

    Raises:
        PlanError: nothing, or none of lidr's.
    """
    try:
        said = json.loads(config.read_text(encoding="utf-8"))
        parts = (said, said.get("text_config", {}))
        found = next((name for part in parts if (name := part.get("dtype") or part.get("torch_dtype"))), None)
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        raise PlanError(f"policy.dtype: auto: {config} cannot be read ({error}); write the number format") from None
    for known in get_args(Dtype):
        if found == known:
            return known  # type: ignore[no-any-return]
    raise PlanError(
        f"policy.dtype: auto: {config} names {found or 'no number format'}; write one: {', '.join(get_args(Dtype))}"
    )


def _config_file(around: Surroundings) -> Path | None:
    """The checkpoint's config.json; None while its commit is not known, and where it lies on another machine; an empty
    path where there is none: a server loads nothing here, and a GGUF file is unpacked to float32.
    """
    policy = around.recipe.policy
    reference = parse_reference(policy.model)
    if isinstance(reference, HubReference):
        commit = policy.pinned or around.lock.commits.get(reference.repo)
        return _of_hub(reference.repo, commit) if commit else None
    if isinstance(reference, RunReference):
        return locate(reference, around.recipe).model_folder / "config.json"
    if isinstance(reference, FolderReference):
        folder = resolve_source(reference.path, around.recipe_folder) or Path(reference.path)
        return None if lies_elsewhere(around.recipe, folder) else folder / "config.json"
    return Path()


def _of_hub(repo: str, commit: str) -> Path:
    """config.json at a commit, from the Hub's cache or the Hub.

    Raises:
        HubError: neither has it.
    """
    try:
        return read_file(repo, commit, "config.json")
    except HubError as error:
        known = ", ".join(get_args(Dtype))
        raise HubError(
            f"policy.dtype: auto is read from config.json of {repo}, which is not on this machine: {error}; write one: "
            f"{known}"
        ) from None
