"""Memory and disk that what is still to do of a plan takes: of the models that its steps run, by their shapes."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from lidr import costs
from lidr.costs import Card, ModelShape, Training
from lidr.pipeline.planned import Plan, PlannedStep
from lidr.pipeline.rates import engine_of, model_of
from lidr.recipe import PolicyConfig
from lidr.references import FolderReference, HubReference, ServerReference, parse_reference
from lidr.resources import resolve_source
from lidr.steps import InitialPolicy


@dataclass(frozen=True)
class Need:
    """Bytes that something takes, at most: `what`, and of which parts."""

    what: str
    size: int
    parts: str


def memory_needs(planned: Plan, todo: list[PlannedStep], card: Card | None) -> tuple[Need, ...]:
    """The largest of what writes, of what trains, and of what only reads."""
    writing, training = [], []
    reading: list[Need] = []
    for step in todo:
        if step.expected.unit == "values":  # each scorer's model is loaded after the other, as the policy is
            reading += _reading(planned, step, card)
            continue
        model = model_of(planned.recipe, step.config, step.expected)
        shape = shape_of(planned, model) if model is not None else None
        if model is None or shape is None:
            continue
        if step.expected.trained:
            parts = costs.training_bytes(shape, model.dtype, replace(training_of(planned, step), on_cpu=card is None))
            said = ", ".join(f"{part} {gigabytes(size)}" for part, size in parts.items())
            if (processes := planned.recipe.runtime.train_processes) > 1:
                said += f"; each of {processes} processes"
            training.append(Need(step.name, sum(parts.values()), said))
        elif step.expected.tokens and not asks_elsewhere(planned, step):
            writing.append(_writing(planned, step, shape, model, card))
    return tuple(max(needs, key=lambda need: need.size) for needs in (writing, training, reading) if needs)


def _reading(planned: Plan, step: PlannedStep, card: Card | None) -> Iterator[Need]:
    """Of one card, each model of a step's scorers: its weights, or the share of the card that vLLM takes at once."""
    runtime = planned.recipe.runtime
    for name, model, _ in step.config.brought:
        if (shape := shape_of(planned, model)) is None:
            continue
        size = costs.weight_bytes(shape, planned.recipe.policy.dtype)
        parts = f"weights {gigabytes(size)}; answers come on top"
        if getattr(step.config.given[name], "engine", None) == "vllm":
            size //= runtime.tensor_parallel
            share = f"vLLM takes runtime.gpu_memory {runtime.gpu_memory:g} of a card whatever they are"
            parts = f"weights {gigabytes(size)}; {share}"
            size = max(size, int(card.memory * 1e9 * runtime.gpu_memory)) if card is not None else size
        yield Need(step.name, size, parts)


def _writing(planned: Plan, step: PlannedStep, shape: ModelShape, model: PolicyConfig, card: Card | None) -> Need:
    """Of one card. vLLM spreads a model over several, and lets texts wait that do not fit beside the weights; other
    engines hold a whole batch at once.
    """
    runtime, length = planned.recipe.runtime, length_of(planned, step)
    is_vllm = engine_of(planned.recipe, step.config, step.expected) == "vllm"
    cards = runtime.tensor_parallel if is_vllm else 1
    weights = costs.weight_bytes(shape, model.dtype) // cards
    one = costs.cache_bytes(shape, model.dtype, length, cards)
    waits = is_vllm and card is not None
    room = int((card.memory * 1e9 * runtime.gpu_memory - weights) / one) if waits and card is not None else 0
    texts = min(runtime.engine_batch, max(room, 1)) if waits else runtime.engine_batch
    which = f"{texts} of {runtime.engine_batch}" if texts < runtime.engine_batch else f"{texts}"
    kept = f"keys and values of {which} texts of {length:,} tokens {gigabytes(texts * one)}"
    return Need(step.name, weights + texts * one, f"weights {gigabytes(weights)}, {kept}")


def unsized_models(planned: Plan, todo: list[PlannedStep]) -> tuple[str, ...]:
    """Models that are run here, and of which nobody knows how large they are."""
    run = [step for step in todo if step.expected.trained or not asks_elsewhere(planned, step)]
    models = [model_of(planned.recipe, step.config, step.expected) for step in run if step.expected.unit != "model"]
    here = [one for one in models if one and not isinstance(parse_reference(one.model), ServerReference)]
    return tuple(dict.fromkeys(model.model for model in here if shape_of(planned, model) is None))


def disk_needs(planned: Plan, todo: list[PlannedStep]) -> tuple[Need, ...]:
    """What policies and checkpoints take; rows are small beside them."""
    recipe, shape = planned.recipe, shape_of(planned, planned.recipe.policy)
    if shape is None:
        return ()
    made = [step for step in todo if step.expected.trained or step.expected.unit == "model"]
    trains = [step for step in made if step.expected.trained]
    weights = costs.weight_bytes(shape, recipe.policy.dtype)
    parts = f"{len(made)} x {gigabytes(weights)}{_of_download(planned, made)}"
    needs = [Need("policies", len(made) * weights, parts)] if made else []
    if trains and recipe.runtime.save_steps:
        trained = costs.trained_parameters(shape, training_of(planned, trains[0]))
        needs.append(Need("checkpoints of training, while it runs", 12 * trained, "weights and AdamW's state"))
    return tuple(needs)


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
        home = Path(os.environ.get("HF_HOME") or "~/.cache/huggingface").expanduser()
        cache = Path(os.environ.get("HF_HUB_CACHE") or home / "hub")
        found += sorted(cache.glob(f"models--{reference.repo.replace('/', '--')}/snapshots/*"))
    return found


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
    )


def length_of(planned: Plan, step: PlannedStep) -> int:
    """Tokens of a prompt and its completion at most; a prompt is taken to be as long as the completion may be."""
    return planned.recipe.runtime.longest or 2 * step.expected.size


def asks_elsewhere(planned: Plan, step: PlannedStep) -> bool:
    """Whether canned answers or a server answer, of whose machine nothing is known."""
    return engine_of(planned.recipe, step.config, step.expected) in ("openai", "scripted")
