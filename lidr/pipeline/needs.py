"""The models that the steps of a plan run, how large they are, and what disk is needed for them."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from math import ceil
from pathlib import Path

from lidr import costs
from lidr.costs import ModelShape, Training
from lidr.pipeline.planned import Plan, PlannedStep
from lidr.pipeline.rates import engine_of, model_of
from lidr.recipe import PolicyConfig
from lidr.references import FolderReference, HubReference, ServerReference, parse_reference
from lidr.resources import resolve_source
from lidr.steps import InitialPolicy
from lidr.train import KEPT_CHECKPOINTS


@dataclass(frozen=True)
class Need:
    """Bytes that something takes, at most: `what`, and of which parts."""

    what: str
    size: int
    parts: str


def unsized_models(planned: Plan, todo: list[PlannedStep]) -> tuple[str, ...]:
    """Models that are run here, and of which nobody knows how large they are."""
    run = [step for step in todo if step.expected.trains or not asks_elsewhere(planned, step)]
    models = [model_of(planned.recipe, step.config, step.expected) for step in run if step.expected.unit != "model"]
    models += [model for step in todo for model in _brought(planned, step)]
    here = [one for one in models if one and not isinstance(parse_reference(one.model), ServerReference)]
    return tuple(dict.fromkeys(model.model for model in here if shape_of(planned, model) is None))


def _brought(planned: Plan, step: PlannedStep) -> list[PolicyConfig]:
    """Models that a step brings along: a translator, those of scorers, a judge that is served here."""
    besides = step.kind.beside(planned.recipe, step.config, step.expected)
    return [*getattr(step.config, "models", ()), *(one.served.model for one in besides if one.served is not None)]


def disk_needs(planned: Plan, todo: list[PlannedStep]) -> tuple[Need, ...]:
    """What policies and checkpoints take in the store; rows are small beside them."""
    recipe, shape = planned.recipe, shape_of(planned, planned.recipe.policy)
    if shape is None:
        return ()
    made = [step for step in todo if step.expected.trains or step.expected.unit == "model"]
    trains = [step for step in made if step.expected.trains]
    weights = costs.weight_bytes(shape, recipe.policy.dtype)
    parts = f"{len(made)} x {gigabytes(weights)}{_of_download(planned, made)}"
    needs = [Need("policies", len(made) * weights, parts)] if made else []
    if trains and recipe.runtime.save_steps:
        number = max(_checkpoints(planned, step) for step in trains)
        each = max(costs.saved_bytes(shape, training_of(planned, step)) for step in trains)
        parts = f"{number} x {gigabytes(each)}, weights and the optimiser's state"
        needs.append(Need("checkpoints of training, while it runs", number * each, parts))
    return tuple(needs)


def _checkpoints(planned: Plan, step: PlannedStep) -> int:
    """How many a training keeps at most: two, and the next one is written before the older goes."""
    if not step.expected.count:
        return KEPT_CHECKPOINTS + 1
    steps: float = ceil(step.expected.count / step.config.batch) * step.config.epochs
    return min(ceil(steps / planned.recipe.runtime.save_steps), KEPT_CHECKPOINTS + 1)


def downloads(planned: Plan, todo: list[PlannedStep]) -> Need | None:
    """What the models that steps bring along, and that are not here yet, take in the Hub's cache."""
    sizes: dict[str, int] = {}
    for model in (model for step in todo for model in _brought(planned, step)):
        reference = parse_reference(model.model)
        is_here = any(folder.is_dir() for folder in folders_of(model, planned.recipe.folder))
        shape = shape_of(planned, model)
        if isinstance(reference, HubReference) and not is_here and shape is not None:
            sizes[model.model] = costs.weight_bytes(shape, "bfloat16")
    if not sizes:
        return None
    each = ", ".join(f"{name} {gigabytes(size)}" for name, size in sizes.items())
    return Need("downloads into the Hub's cache (HF_HOME)", sum(sizes.values()), f"{each}; weights in 16 bits")


def _of_download(planned: Plan, made: list[PlannedStep]) -> str:
    """What a Hub model that is still to be fetched takes besides."""
    policy = planned.recipe.policy
    fetched = [step for step in made if step.kind.writes is InitialPolicy]
    is_of_hub = isinstance(parse_reference(policy.model), HubReference)
    if not fetched or not is_of_hub or any(folder.is_dir() for folder in _folders(planned, policy)):
        return ""
    return "; the first is a download into the Hub's cache (HF_HOME), which takes as much again on another disk"


def free_bytes(folder: Path) -> int | None:
    """What the disk has free on which a folder lies, or will lie; None where nobody can tell."""
    there = next((path for path in (folder.resolve(), *folder.resolve().parents) if path.is_dir()), None)
    try:
        return shutil.disk_usage(there).free if there is not None else None
    except OSError:
        return None


def gigabytes(size: int) -> str:
    """Bytes as people say them.

    >>> gigabytes(16_060_000_000), gigabytes(269_000_000)
    ('16.1 GB', '0.27 GB')
    """
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e9:.2g} GB"


def shape_of(planned: Plan, model: PolicyConfig) -> ModelShape | None:
    """How large a model is: by its folder where it is here, else by its name."""
    reference = parse_reference(model.model)
    if isinstance(reference, ServerReference):
        return None
    here = [folder for folder in _folders(planned, model) if (folder / "config.json").is_file()]
    for folder in here:
        if (shape := costs.shape_in(folder)) is not None:
            return shape
    if here:
        return None  # its name would say less than its config.json, which does not say it
    return costs.shape_named(re.sub(r"\.gguf$|\.Q\d\w*|@.*", "", model.model))


def _folders(planned: Plan, model: PolicyConfig) -> list[Path]:
    """Where a model may lie on this machine already: in the run, in its folder, in the Hub's cache."""
    policies = [planned.folder(step) for step in planned.steps if step.kind.writes is InitialPolicy]
    first = [folder / part for folder in policies for part in ("model", "base")]
    return [*(first if model == planned.recipe.policy else []), *folders_of(model, planned.recipe.folder)]


def folders_of(model: PolicyConfig, recipe_folder: Path) -> list[Path]:
    """Where a model may lie on this machine before a run: in its folder, in the Hub's cache."""
    reference, found = parse_reference(model.model), list[Path]()
    if isinstance(reference, FolderReference):
        found.append(resolve_source(reference.path, recipe_folder) or Path(reference.path))
    if isinstance(reference, HubReference):
        found += sorted(hub_cache().glob(f"models--{reference.repo.replace('/', '--')}/snapshots/*"))
    return found


def hub_cache() -> Path:
    """Where models of the Hub are kept."""
    home = Path(os.environ.get("HF_HOME") or "~/.cache/huggingface").expanduser()
    return Path(os.environ.get("HF_HUB_CACHE") or home / "hub")


def training_of(planned: Plan, step: PlannedStep) -> Training:
    """What of a step that trains decides over memory and time."""
    config, runtime = step.config, planned.recipe.runtime
    compares = config.method != "sft"
    return Training(
        adapter=config.lora.rank if config.lora else 0,
        micro_batch=min(runtime.micro_batch, config.batch),
        length=config.max_length,
        checkpointing=runtime.gradient_checkpointing,
        compares=compares,
        second_model=compares and config.reference == "initial" and step.iteration > 1,
        quantization=config.load.quantization or "",
        parts=runtime.train_processes if runtime.sharding != "none" else 1,
        layers=config.lora.target_modules if config.lora else (),
        parameters=config.lora.peft.target_parameters if config.lora else (),
        optimiser=config.trl.get("optim", "adamw_torch"),
    )


def length_of(planned: Plan, step: PlannedStep) -> int:
    """Tokens of a prompt and its completion at most; a prompt is taken to be as long as the completion may be."""
    return planned.recipe.runtime.longest or 2 * step.expected.size


def asks_elsewhere(planned: Plan, step: PlannedStep) -> bool:
    """Whether canned answers or a server answer, of whose machine nothing is known."""
    return engine_of(planned.recipe, step.config, step.expected) in ("openai", "scripted")


def texts_at_once(planned: Plan, step: PlannedStep) -> int:
    """Texts that one engine writes at the same time: what is asked at once, or what vLLM is told to take of it."""
    runtime = planned.recipe.runtime
    most = runtime.vllm.get("max_num_seqs")
    is_vllm = engine_of(planned.recipe, step.config, step.expected) == "vllm"
    return min(runtime.engine_batch, most) if is_vllm and isinstance(most, int) and most > 0 else runtime.engine_batch


def held_by(planned: Plan, step: PlannedStep, dtype: str) -> tuple[str, str]:
    """How an engine packs the weights of a model that answers (`costs.PACKED`; empty: it does not), and the number
    format of keys and values: what vLLM is told, else the model's own.
    """
    if engine_of(planned.recipe, step.config, step.expected) != "vllm":
        return "", dtype
    given = planned.recipe.runtime.vllm
    packed, cache = str(given.get("quantization") or ""), str(given.get("kv_cache_dtype") or "auto")
    known = {"fp8": "fp8", "bitsandbytes": "nf4"}
    kept = "fp8" if cache.startswith("fp8") else cache
    return known.get(packed, ""), kept if kept in costs.BYTES and kept != "auto" else dtype
