"""The translator that a recipe names in the policy's place: found, pinned, named in the rows, started."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lidr.engines import EngineSpec, text_arguments
from lidr.hub import converted, dist_file
from lidr.recipe import ParallelConfig, TranslateConfig, Translator, server_fields
from lidr.references import (
    DistReference,
    FolderReference,
    HubReference,
    RunReference,
    ServerReference,
    parse_reference,
)
from lidr.steps.policy import model_folder, notes_unpinned, outside_model
from lidr.steps.policy_files import check_files
from lidr.steps.step_kind import StepRun, Surroundings
from lidr.steps.translate.translation_file import translation_files
from lidr.store import folder_sha256, hashed, locate


def section_of(config: TranslateConfig) -> str:
    """Where a recipe has these settings, as messages name it."""
    return "prompts.translate" if isinstance(config, ParallelConfig) else "translate"


def outside_translator(around: Surroundings, config: TranslateConfig) -> dict[str, Any]:
    """Identity of the translator itself: a commit, or the digests of its files."""
    by = _translator(config)
    if by.file is not None:
        files = translation_files(by.file, around.recipe_folder, f"{section_of(config)}.by.file")
        return {"files": {path.name: hashed(path) for path in files}}
    return dict(outside_model(around, by.source(), _where(config)))


def notes_translator(around: Surroundings, config: TranslateConfig) -> tuple[str, ...]:
    """That a translator which is a Hub model is not pinned; one in a folder must be there."""
    by, where = _translator(config), _where(config)
    if isinstance(reference := parse_reference(by.model or ""), FolderReference):
        model_folder(around, by.source(), reference, where=where)
    return notes_unpinned(around, by.source(), where)


def translator_name(around: Surroundings, config: TranslateConfig) -> str:
    """What the rows say of it: nothing of this machine, and enough to find it again."""
    by, outside = _translator(config), outside_translator(around, config)
    if "files" in outside:
        digest = folder_sha256(outside["files"])[:12]
        return f"{'file' if by.file is not None else 'folder'}:{Path(by.file or by.model or '').name}@{digest}"
    assert by.model is not None
    reference = parse_reference(by.model)
    if isinstance(reference, HubReference):
        return f"{reference.repo}@{outside['revision']}"
    if isinstance(reference, ServerReference):
        return f"openai:{reference.model}"
    return f"{by.model}@{outside['sha256'][:12]}" if isinstance(reference, DistReference) else by.model


def translator_spec(run: StepRun) -> EngineSpec:
    """Describe the engine of a translator that is a model; brings the model here."""
    by = _translator(run.config)
    assert by.model is not None
    assert by.engine is not None
    reference, runtime = parse_reference(by.model), run.recipe.runtime
    is_server = isinstance(reference, ServerReference)
    return EngineSpec(
        kind=by.engine,
        model=reference.model if isinstance(reference, ServerReference) else str(_folder(run)),
        url=reference.url if isinstance(reference, ServerReference) else None,
        dtype=by.dtype,
        batch=runtime.engine_batch,
        max_model_len=None if is_server or not by.is_chat else runtime.max_model_len,
        api_key_env=runtime.api_key_env,
        timeout_s=runtime.server_timeout_s,
        tensor_parallel=runtime.tensor_parallel,
        replicas=runtime.replicas,
        cluster=runtime.cluster,
        gpu_memory=runtime.gpu_memory,
        threads=runtime.threads,
        vllm={name: value for name, value in runtime.vllm.items() if name not in text_arguments(runtime.vllm)},
        beams=by.beams,
        codes=by.codes,
        **server_fields(by.openai),
    )


def _translator(config: TranslateConfig) -> Translator:
    assert config.by is not None
    return config.by


def _where(config: TranslateConfig) -> str:
    return f"{section_of(config)}.by.model"


def _folder(run: StepRun) -> Path:
    """The model as a folder of safetensors; a GGUF file is converted once, in the store."""
    by, where = _translator(run.config), _where(run.config)
    reference = parse_reference(by.model or "")
    if isinstance(reference, RunReference):
        return locate(reference, run.recipe).model
    if not isinstance(reference, DistReference):
        folder = model_folder(run.around, by.source(), reference, where=where)
        check_files(folder, outside_translator(run.around, run.config).get("files", {}))
        return folder
    return converted(dist_file(reference, where), run.around.store_root, dtype=by.dtype, log=run.log)
