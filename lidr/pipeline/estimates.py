"""What is still to do, and what that takes: measured where the same was measured before, else estimated and said so.

A measured rate counts for the same model, engine and kind of machine, and none does where `runtime.gpu` names a card
that this machine has not: then another machine is meant. Without one, time follows from the model's parameters, the
tokens at most, and the figures of a card (`lidr.costs`): the one that `runtime.gpu` names, else this
machine's, else, for an engine that needs one, `USUAL`.
"""

from __future__ import annotations

import os
import re
import shutil
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from lidr import costs
from lidr.costs import Card, ModelShape, Training, card_named, this_machine
from lidr.errors import PlanError
from lidr.pipeline.planned import NOTHING_TO_DO, Plan, PlannedStep
from lidr.pipeline.rates import engine_of, model_of
from lidr.pipeline.room import models_alone
from lidr.recipe import PolicyConfig, Recipe
from lidr.references import FolderReference, HubReference, ServerReference, parse_reference
from lidr.resources import resolve_source
from lidr.steps import Beside, InitialPolicy

USUAL = "A100 80GB"
"""The card that is estimated for where vLLM is asked for, this machine has none, and the recipe names none."""

_IF_SLOWER = (
    "answers are counted as vLLM writes them, many at once without a pause; runtime.engine is transformers, which is "
    "slower than that: on a GPU take --set runtime.engine=vllm"
)


@dataclass(frozen=True)
class StepTime:
    """How long a step may take, at most.

    Args:
        seconds: None where nothing is known.
        is_measured: by rates in the store; else by a card's figures.
        gpus: that it takes meanwhile.
    """

    seconds: float | None
    is_measured: bool
    gpus: int = 0


@dataclass(frozen=True)
class Need:
    """Bytes that something takes, at most: `what`, and of which parts."""

    what: str
    size: int
    parts: str


@dataclass(frozen=True)
class Costs:
    """All of it.

    Args:
        times: place of each step that is still to do -> its time.
        sources: what estimates rest on, one sentence each; empty where nothing is estimated.
        memory: of one GPU, or of main memory where there is none.
        disk: in the store.
        free: bytes that its disk has.
        price: of the GPU hours, where the recipe says what one costs.
        held: GPUs of the step that takes most, where another takes fewer: 0 where none does.
        card_helps: whether a step of unknown time could be estimated for a card, and none is named.
        unsized: models that are still to be run, and of which the size cannot be told.
        beside: what models do besides, and neither the times nor the hours hold.
    """

    times: dict[str, StepTime]
    sources: tuple[str, ...]
    card: Card | None
    memory: tuple[Need, ...]
    disk: tuple[Need, ...]
    free: int | None
    gpu_hours: float | None
    price: float | None
    card_helps: bool = False
    unsized: tuple[str, ...] = ()
    beside: tuple[Beside, ...] = ()
    held: int = 0

    @property
    def reserved_hours(self) -> float | None:
        """GPU hours where `held` GPUs are reserved all the time; None where every step takes as many."""
        return self.held * (self.measured_s + self.estimated_s) / 3600 if self.held else None

    @property
    def measured_s(self) -> float:
        """Seconds of all steps that were measured before."""
        return sum(time.seconds or 0 for time in self.times.values() if time.is_measured)

    @property
    def estimated_s(self) -> float:
        """Seconds of all steps that are estimated."""
        return sum(time.seconds or 0 for time in self.times.values() if not time.is_measured)

    @property
    def unknown(self) -> tuple[str, ...]:
        """Places of the steps of which no time is known."""
        return tuple(place for place, time in self.times.items() if time.seconds is None)


def costs_of(planned: Plan) -> Costs:
    """What is still to do of a plan, in time, memory and disk.

    Raises:
        PlanError: `runtime.gpu` names a card that lidr has no figures of.
    """
    card, why = _card(planned)
    todo = [step for step in planned.steps if step.state not in NOTHING_TO_DO]
    shapes: dict[str, ModelShape] = {}
    times = {step.place: _time(planned, step, card, shapes) for step in todo}
    usual = card_named(USUAL)
    helps = card is None and any(
        times[step.place].seconds is None and _time(planned, step, usual, {}).seconds is not None for step in todo
    )
    estimated = any(time.seconds is not None and not time.is_measured for time in times.values())
    sources = _sources(planned, card, why, shapes) if card is not None and estimated else ()
    on_cards = [time for time in times.values() if time.gpus and time.seconds is not None]
    hours = sum((time.seconds or 0) * time.gpus for time in on_cards) / 3600 if on_cards else None
    price = planned.recipe.runtime.gpu_price
    alone = (by_vllm for step in todo for _, by_vllm in models_alone(planned.recipe, step))
    numbers = {time.gpus for time in on_cards}
    numbers |= {planned.recipe.runtime.tensor_parallel if by_vllm else 1 for by_vllm in alone}
    return Costs(
        times,
        sources,
        card,
        _memory(planned, todo, card),
        _disk(planned, todo),
        _free(planned.store.root),
        hours,
        hours * price if hours is not None and price is not None else None,
        helps,
        _unsized(planned, todo),
        _beside(planned, todo),
        max(numbers) if on_cards and len(numbers) > 1 else 0,
    )


def _beside(planned: Plan, todo: list[PlannedStep]) -> tuple[Beside, ...]:
    """Of all iterations together."""
    counts: Counter[tuple[str, str]] = Counter()
    for step in todo:
        for one in step.kind.beside(planned.recipe, step.config, step.expected):
            counts[one.what, one.unit] += one.number
    return tuple(Beside(what, count, unit) for (what, unit), count in counts.items())


def _is_elsewhere(planned: Plan) -> bool:
    """Whether the plan is for another machine: one with a card that this one has not."""
    named, here = planned.recipe.runtime.gpu, this_machine().cards
    return named is not None and card_named(named) not in map(card_named, here)


def _card(planned: Plan) -> tuple[Card | None, str]:
    """The card that is planned for, and who says so."""
    named = planned.recipe.runtime.gpu
    if named is not None:
        card = card_named(named)
        if card is None:
            known = ", ".join(card.name for card in costs.CARDS)
            raise PlanError(f'runtime.gpu: "{named}": no figures of this card are known; name one of {known}')
        return card, "named by runtime.gpu"
    if planned.recipe.runtime.engine == "vllm" or this_machine().cards:
        if this_machine().cards:
            return card_named(this_machine().cards[0]), "the one of this machine"
        return card_named(USUAL), "taken as an example: this machine has none; name yours with --set runtime.gpu=NAME"
    return None, ""


def _time(planned: Plan, step: PlannedStep, card: Card | None, shapes: dict[str, ModelShape]) -> StepTime:
    recipe, expected = planned.recipe, step.expected
    model = model_of(recipe, step.config, expected)
    is_work = bool(expected.tokens or expected.trained)
    has_card = bool(this_machine().cards)
    if not _is_elsewhere(planned) and (measured := step.seconds) is not None:
        cards = recipe.runtime.train_processes if expected.trained else cards_of(recipe)
        return StepTime(measured, True, cards if is_work and has_card else 0)
    if model is None or card is None or not is_work:
        return StepTime(None, False)
    shape = _shape(planned, model)
    if shape is None or (not expected.trained and _asks_elsewhere(planned, step)):
        return StepTime(None, False)
    shapes[model.model] = shape
    if expected.trained:
        training, processes = training_of(planned, step), recipe.runtime.train_processes
        seconds = costs.training_seconds(shape, card, model.dtype, training, tokens=expected.trained)
        return StepTime(seconds / processes, False, processes)
    seconds = costs.generation_seconds(
        shape,
        card,
        model.dtype,
        tokens=expected.tokens,
        at_once=recipe.runtime.engine_batch,
        length=_length(planned, step),
    )
    cards = cards_of(recipe)
    return StepTime(seconds / cards, False, cards)


def cards_of(recipe: Recipe) -> int:
    """Cards that answer at once; `all` replicas are counted as one, since nobody knows yet how many find a place."""
    runtime = recipe.runtime
    return runtime.tensor_parallel * (1 if runtime.replicas == "all" else runtime.replicas)


def _asks_elsewhere(planned: Plan, step: PlannedStep) -> bool:
    """Whether canned answers or a server answer, of whose machine nothing is known."""
    return engine_of(planned.recipe, step.config, step.expected) in ("openai", "scripted")


def _length(planned: Plan, step: PlannedStep) -> int:
    """Tokens of a prompt and its completion at most; a prompt is taken to be as long as the completion may be."""
    return planned.recipe.runtime.longest or 2 * step.expected.size


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


def _shape(planned: Plan, model: PolicyConfig) -> ModelShape | None:
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
    reference = parse_reference(model.model)
    policies = [planned.folder(step) for step in planned.steps if step.kind.writes is InitialPolicy]
    first = [folder / part for folder in policies for part in ("model", "base")]
    found = first if model == planned.recipe.policy else []
    if isinstance(reference, FolderReference):
        found.append(resolve_source(reference.path, planned.recipe.folder) or Path(reference.path))
    if isinstance(reference, HubReference):
        home = Path(os.environ.get("HF_HOME") or "~/.cache/huggingface").expanduser()
        cache = Path(os.environ.get("HF_HUB_CACHE") or home / "hub")
        found += sorted(cache.glob(f"models--{reference.repo.replace('/', '--')}/snapshots/*"))
    return found


def _sources(planned: Plan, card: Card, why: str, shapes: dict[str, ModelShape]) -> tuple[str, ...]:
    models = (f"{name}: {_count(shape.parameters)} parameters ({shape.source})" for name, shape in shapes.items())
    return (
        "; ".join(models),
        f"card: {card.name} ({why}): {card.memory} GB, {card.bandwidth:,} GB/s, {card.half:g} TFLOP/s in 16 bits, "
        f"{card.single:g} in float32, by {costs.SOURCE}",
        f"assumed, not measured: {costs.BANDWIDTH:.0%} of the bandwidth and {costs.ARITHMETIC:.0%} of the FLOP/s are "
        "reached; every answer and every pair as long as it may be; prompts are not counted",
        *([_IF_SLOWER] if planned.recipe.runtime.engine == "transformers" else []),
    )


def _count(number: int) -> str:
    return f"{number / 1e9:.2f} billion" if number >= 1e9 else f"{number / 1e6:.1f} million"


def _writing(planned: Plan, step: PlannedStep, shape: ModelShape, model: PolicyConfig, card: Card | None) -> Need:
    """Of one card. vLLM spreads a model over several, and lets texts wait that do not fit beside the weights; other
    engines hold a whole batch at once.
    """
    runtime, length = planned.recipe.runtime, _length(planned, step)
    is_vllm = engine_of(planned.recipe, step.config, step.expected) == "vllm"
    cards = runtime.tensor_parallel if is_vllm else 1
    weights = costs.weight_bytes(shape, model.dtype) // cards
    one = costs.cache_bytes(shape, model.dtype, length) // cards
    waits = is_vllm and card is not None
    room = int((card.memory * 1e9 * runtime.gpu_memory - weights) / one) if waits and card is not None else 0
    texts = min(runtime.engine_batch, max(room, 1)) if waits else runtime.engine_batch
    which = f"{texts} of {runtime.engine_batch}" if texts < runtime.engine_batch else f"{texts}"
    kept = f"keys and values of {which} texts of {length:,} tokens {gigabytes(texts * one)}"
    return Need(step.name, weights + texts * one, f"weights {gigabytes(weights)}, {kept}")


def _memory(planned: Plan, todo: list[PlannedStep], card: Card | None) -> tuple[Need, ...]:
    """The largest of what writes, of what trains, and of what only reads."""
    writing, training, reading = [], [], []
    for step in todo:
        if step.expected.unit == "values":  # each scorer's model is loaded after the other, as the policy is
            shapes = [one for model in step.config.models if (one := _shape(planned, model)) is not None]
            sizes = [costs.weight_bytes(shape, planned.recipe.policy.dtype) for shape in shapes]
            reading += [Need(step.name, size, f"weights {gigabytes(size)}; answers come on top") for size in sizes]
            continue
        model = model_of(planned.recipe, step.config, step.expected)
        shape = _shape(planned, model) if model is not None else None
        if model is None or shape is None:
            continue
        if step.expected.trained:
            parts = costs.training_bytes(shape, model.dtype, training_of(planned, step))
            said = ", ".join(f"{part} {gigabytes(size)}" for part, size in parts.items())
            if (processes := planned.recipe.runtime.train_processes) > 1:
                said += f"; each of {processes} processes"
            training.append(Need(step.name, sum(parts.values()), said))
        elif step.expected.tokens and not _asks_elsewhere(planned, step):
            writing.append(_writing(planned, step, shape, model, card))
    return tuple(max(needs, key=lambda need: need.size) for needs in (writing, training, reading) if needs)


def _unsized(planned: Plan, todo: list[PlannedStep]) -> tuple[str, ...]:
    """Models that are run here, and of which nobody knows how large they are."""
    run = [step for step in todo if step.expected.trained or not _asks_elsewhere(planned, step)]
    models = [model_of(planned.recipe, step.config, step.expected) for step in run if step.expected.unit != "model"]
    here = [one for one in models if one and not isinstance(parse_reference(one.model), ServerReference)]
    return tuple(dict.fromkeys(model.model for model in here if _shape(planned, model) is None))


def _disk(planned: Plan, todo: list[PlannedStep]) -> tuple[Need, ...]:
    """What policies and checkpoints take; rows are small beside them."""
    recipe, shape = planned.recipe, _shape(planned, planned.recipe.policy)
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


def _free(folder: Path) -> int | None:
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
