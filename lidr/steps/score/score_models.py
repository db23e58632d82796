"""Models that scorers bring along: found, pinned, and as a folder of safetensors on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

from pydantic import model_validator

from lidr.errors import PlanError
from lidr.hub import converted, dist_file
from lidr.recipe import Frozen, PolicyConfig
from lidr.references import DistReference, RunReference, ServerReference, parse_reference
from lidr.steps.policy import model_folder, outside_model
from lidr.steps.policy_files import check_files
from lidr.steps.step_kind import StepRun, Surroundings
from lidr.store import locate


class BringsModel(Frozen):
    """Settings of a scorer that brings a model along; a revision that is no commit is a mistake of theirs."""

    @property
    def models(self) -> tuple[PolicyConfig, ...]:
        """The model."""
        raise NotImplementedError

    @model_validator(mode="after")
    def _revision_fits(self) -> Self:
        _ = self.models
        return self


def model_at(run: StepRun, config: PolicyConfig, where: str) -> Path:
    """The model as a folder; a GGUF file is converted once, in the store. `where` opens what is said of it."""
    reference = parse_reference(config.model)
    if isinstance(reference, RunReference):
        return locate(reference, run.recipe).model
    if isinstance(reference, DistReference):
        dtype = run.recipe.policy.dtype
        return converted(dist_file(reference, where), run.around.store_root, dtype=dtype, log=run.log)
    folder = model_folder(run.around, config, reference, where)
    check_files(folder, outside_model(run.around, config, where).get("files", {}))
    return folder


def identity_of_model(around: Surroundings, config: PolicyConfig, where: str) -> dict[str, Any]:
    """What the model is: a repository and its commit, or digests of files.

    Raises:
        Unresolved: it is not here yet.
        PlanError: it is behind a server, so nobody can look into it.
    """
    reference = parse_reference(config.model)
    if isinstance(reference, ServerReference):
        raise PlanError(
            f"{where}: a server (openai:) gives texts alone, and nobody can look into its model; name a folder"
        )
    return {"repo": getattr(reference, "repo", None), **outside_model(around, config, where)}
