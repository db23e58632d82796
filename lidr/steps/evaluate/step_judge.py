"""The judge that a step's settings name: who it is, whether it is there, what it costs, and how it is asked."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lidr import evals
from lidr.engines import engine_row
from lidr.errors import PlanError
from lidr.evals import judge
from lidr.hub import check_model_folder, dist_file
from lidr.recipe import PolicyConfig, Recipe
from lidr.references import DistReference, FolderReference, HubReference, ServerReference, parse_reference
from lidr.steps.evaluate.evaluate_config import JudgeConfig
from lidr.steps.policy_files import folder_here
from lidr.steps.step_kind import ITS_SERVER, Beside, Served, StepRun, Surroundings
from lidr.store import kept_sha256

_NO_IDENTITY = ("model", "concurrency", "max_calls", "max_error_share", "timeout_s")


def judge_for(run: StepRun, config: JudgeConfig) -> Any:
    """The judge that a step's settings name, to be opened when it is asked; all steps of a store share its cache."""
    settings = config.model_dump(exclude={"model"}, exclude_none=True)
    settings["cache"] = str((run.around.store_root / ".judge.sqlite").resolve())
    runtime = run.recipe.runtime
    return judge.judge_of(
        config.model,
        settings,
        kind=_serves(run.recipe),
        log=run.log,
        dtype=run.recipe.policy.dtype,
        replicas=runtime.replicas,
        cluster=runtime.cluster,
        ran_on=lambda facts: run.ran_on.update(judge=dict(facts)),
    )


def _serves(recipe: Recipe) -> str:
    """The engine that serves a local judge."""
    return recipe.runtime.engine if engine_row(recipe.runtime.engine).judge else "transformers"


def judging_identity(judge: Mapping[str, Any]) -> dict[str, Any]:
    """What of a judge's settings can change a verdict; who it is, `judge_identity` says."""
    return {k: v for k, v in judge.items() if k not in _NO_IDENTITY}


def judge_identity(around: Surroundings, config: JudgeConfig, where: str = "evaluate.judge.model") -> dict[str, str]:
    """Who judges, by what cannot move; `where` is the setting, for messages.

    Raises:
        PlanError: see `check_judge`.
    """
    check_judge(around.recipe, config, where)
    reference = parse_reference(config.model)
    template = {"template": kept_sha256(Path(config.template), around.store_root)} if config.template else {}
    if isinstance(reference, HubReference):
        return {"model": str(reference), **template}
    if isinstance(reference, DistReference):
        return {"sha256": kept_sha256(dist_file(reference, where), around.store_root), **template}
    if isinstance(reference, FolderReference):
        return {"digest": evals.digest_of(check_model_folder(Path(reference.path), where)), **template}
    return {"model": config.model, **template}


def check_judge(recipe: Recipe, config: JudgeConfig, where: str = "evaluate.judge.model") -> None:
    """Look for a judge on this machine; neither its weights nor a network are needed.

    Raises:
        PlanError: a Hub model without a commit; a folder, a file or a template that is not here.
    """
    reference = parse_reference(config.model)
    if isinstance(reference, HubReference) and not reference.is_pinned:
        raise PlanError(f"{where}: {reference.repo} is not pinned; write {reference.repo}@COMMIT (40 hex digits)")
    if isinstance(reference, DistReference):
        dist_file(reference, where)
    if isinstance(reference, FolderReference):
        folder_here(recipe, Path(reference.path), where)
    if config.template is not None and not Path(config.template).is_file():
        setting = f"{where.removesuffix('.model')}.template"
        raise PlanError(f"{setting}: no file {config.template}; give a template file, or null for lidr's own")


def meet_server(config: JudgeConfig) -> None:
    """Of a judge that is a server: whether it is there."""
    if list(judged_alone(config)):
        settings = config.model_dump(exclude={"model"}, exclude_none=True)
        found = judge.judge_of(config.model, settings, kind="transformers", log=Path(os.devnull))
        judge.meet_judge(found, "start it, or mend evaluate.judge in the recipe; then check again")


def beside_judge(recipe: Recipe, step: str, judge: JudgeConfig | None, calls: int) -> Iterator[Beside]:
    """The calls of a judge that a step serves here, and what it is; nothing where a server judges, or nobody."""
    if judge is None or not calls or list(judged_alone(judge)):
        return
    reference = parse_reference(judge.model)
    name = reference.repo if isinstance(reference, HubReference) else judge.model
    model = PolicyConfig(model=name, dtype=recipe.policy.dtype)
    yield Beside(f"{step}: judge", calls, "calls", served=Served(model, _serves(recipe)))


def judged_alone(judge: JudgeConfig | None) -> Iterator[str]:
    """Why replicas do not share the questions to a judge; nothing where they do, or nobody judges."""
    if judge is not None and isinstance(parse_reference(judge.model), ServerReference):
        yield ITS_SERVER
