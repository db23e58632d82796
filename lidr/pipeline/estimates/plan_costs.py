"""What is still to do, and what that takes: measured where the same was measured before, else estimated and said so.

A measured rate counts for the same model, engine and kind of machine, and none does where `runtime.gpu` names a card
that this machine has not: then another machine is meant. Without one, time follows from the model's parameters, the
tokens at most, and the figures of a card (`lidr.costs`): the one that `runtime.gpu` names, else this
machine's, else, for an engine that needs one, `USUAL`.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

from lidr import costs
from lidr.costs import Card, ModelShape, card_named, this_machine
from lidr.errors import PlanError
from lidr.pipeline.estimates.sources import sources_of
from lidr.pipeline.fitting import MemoryNeed, largest, memory_needs
from lidr.pipeline.needs import (
    Need,
    asks_elsewhere,
    disk_needs,
    downloads,
    free_bytes,
    held_by,
    hub_cache,
    length_of,
    shape_of,
    texts_at_once,
    training_of,
    unsized_models,
)
from lidr.pipeline.planned import NOTHING_TO_DO, Plan, PlannedStep
from lidr.pipeline.rates import model_of
from lidr.pipeline.room import models_alone
from lidr.steps import ITS_SERVER, Beside, is_for_another_card

USUAL = "A100 80GB"
"""The card that is estimated for where vLLM is asked for, this machine has none, and the recipe names none."""


@dataclass(frozen=True)
class StepTime:
    """How long a step may take, at most.

    Args:
        seconds: None where nothing is known, or the step does not fit.
        is_measured: by rates in the store; else by a card's figures.
        gpus: that it takes meanwhile.
        fits: false: as planned, a model of it does not fit into memory, and nothing was measured that says otherwise.
    """

    seconds: float | None
    is_measured: bool
    gpus: int = 0
    fits: bool = True


@dataclass(frozen=True)
class Costs:
    """All of it.

    Args:
        times: place of each step that is still to do -> its time.
        sources: what estimates rest on, one sentence each; empty where nothing is estimated.
        memory: of one GPU, or of main memory where there is none.
        disk: in the store.
        free: bytes that its disk has.
        gpu_hours: None where nothing is known of any step on GPUs, or a step does not fit.
        gpus: at work at once, at most; 0 where none is known to be.
        price: of the GPU hours, where the recipe says what one costs.
        held: GPUs of the step that takes most, where another takes fewer: 0 where none does.
        card_helps: whether a step of unknown time could be estimated for a card, and none is named.
        unsized: models that are still to be run, and of which the size cannot be told.
        beside: what models do besides, and neither the times nor the hours hold.
        fetched: in the Hub's cache, of models beside the policy.
        free_for_fetched: bytes that its disk has.
        waiting: places of the steps in which GPUs that are reserved wait for a server, for a time that nobody knows.
    """

    times: dict[str, StepTime]
    sources: tuple[str, ...]
    card: Card | None
    memory: tuple[MemoryNeed, ...]
    disk: tuple[Need, ...]
    free: int | None
    gpu_hours: float | None
    price: float | None
    card_helps: bool = False
    unsized: tuple[str, ...] = ()
    beside: tuple[Beside, ...] = ()
    held: int = 0
    fetched: Need | None = None
    free_for_fetched: int | None = None
    gpus: int = 0
    waiting: tuple[str, ...] = ()

    @property
    def unfit(self) -> tuple[str, ...]:
        """Places of the steps that cannot run as planned."""
        return tuple(place for place, time in self.times.items() if not time.fits)

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
        """Places of the steps of which no time is known, and that may run."""
        return tuple(place for place, time in self.times.items() if time.seconds is None and time.fits)


def costs_of(planned: Plan) -> Costs:
    """What is still to do of a plan, in time, memory and disk.

    Raises:
        PlanError: `runtime.gpu` names a card that lidr has no figures of.
    """
    card, why = _card(planned)
    todo = [step for step in planned.steps if step.state not in NOTHING_TO_DO]
    shapes: dict[str, ModelShape] = {}
    times = {step.place: _time(planned, step, card, shapes) for step in todo}
    memory = memory_needs(planned, todo, card)
    for place in {need.place for need in memory if not need.fits and not times[need.place].is_measured}:
        times[place] = replace(times[place], seconds=None, fits=False)
    all_fit = all(time.fits for time in times.values())
    usual = card_named(USUAL)
    helps = card is None and any(
        times[step.place].seconds is None and _time(planned, step, usual, {}).seconds is not None for step in todo
    )
    estimated = any(time.seconds is not None and not time.is_measured for time in times.values())
    reads = any(times[step.place].gpus and step.expected.unit == "values" for step in todo)
    sources = sources_of(planned, card, why, shapes, reads=reads) if card is not None and estimated else ()
    on_cards = [time for time in times.values() if time.gpus and time.seconds is not None]
    hours = sum((time.seconds or 0) * time.gpus for time in on_cards) / 3600 if on_cards and all_fit else None
    price = planned.recipe.runtime.gpu_price
    served = (step.place for step in todo if _waits(planned, step) and not times[step.place].is_measured)
    alone = (by_vllm for step in todo for _, by_vllm in models_alone(planned.recipe, step))
    numbers = {time.gpus for time in on_cards}
    numbers |= {planned.recipe.runtime.tensor_parallel if by_vllm else 1 for by_vllm in alone}
    return Costs(
        times,
        sources,
        card,
        largest(memory),
        disk_needs(planned, todo),
        free_bytes(planned.store.root),
        hours,
        hours * price if hours is not None and price is not None else None,
        helps,
        unsized_models(planned, todo),
        _beside(planned, [step for step in todo if times[step.place].gpus == 0 or step.expected.tokens]),
        max(numbers) if hours is not None and len(numbers) > 1 and replicas_of(planned) is not None else 0,
        downloads(planned, todo),
        free_bytes(hub_cache()),
        max(numbers, default=0),
        tuple(served),
    )


def _waits(planned: Plan, step: PlannedStep) -> bool:
    """Whether a server answers something of a step, for a time that nobody knows."""
    return any(why == ITS_SERVER for _, why in step.kind.alone(planned.recipe, step.config))


def _beside(planned: Plan, todo: list[PlannedStep]) -> tuple[Beside, ...]:
    """Of all iterations together, of steps whose hours are not counted or are those of what is written in them."""
    counts: Counter[tuple[str, str]] = Counter()
    for step in todo:
        for one in step.kind.beside(planned.recipe, step.config, step.expected):
            counts[one.what, one.unit] += one.number
    return tuple(Beside(what, count, unit) for (what, unit), count in counts.items())


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
    is_work = bool(expected.tokens or expected.trains)
    has_card = bool(this_machine().cards)
    if not is_for_another_card(planned.recipe) and (measured := step.seconds) is not None:
        cards = recipe.runtime.train_processes if expected.trains else _cards_of(planned)
        return StepTime(measured, True, cards if is_work and has_card else 0)
    if card is not None and not is_work:
        return _reading_time(planned, step, card, shapes)
    if model is None or card is None:
        return StepTime(None, False)
    shape = shape_of(planned, model)
    if shape is None or (not expected.trains and asks_elsewhere(planned, step)):
        return StepTime(None, False)
    if expected.trains and not expected.trained:
        return StepTime(None, False)
    shapes[model.model] = shape
    if expected.trains:
        training, processes = training_of(planned, step), recipe.runtime.train_processes
        seconds = costs.training_seconds(shape, card, model.dtype, training, tokens=expected.trained)
        return StepTime(seconds / processes, False, processes)
    replicas = replicas_of(planned) or 1
    packed, cache_dtype = held_by(planned, step, model.dtype)
    seconds = costs.generation_seconds(
        shape,
        card,
        model.dtype,
        tokens=expected.tokens / replicas,
        at_once=max(min(texts_at_once(planned, step), -(-expected.count // replicas)), 1),
        length=length_of(planned, step),
        cards=recipe.runtime.gpus_of_one,
        stages=recipe.runtime.stages,
        share=recipe.runtime.gpu_memory,
        packed=packed,
        cache_dtype=cache_dtype,
    )
    return StepTime(seconds, False, _cards_of(planned))


def _reading_time(planned: Plan, step: PlannedStep, card: Card, shapes: dict[str, ModelShape]) -> StepTime:
    """Of a step whose models only read, where the size of each can be told."""
    besides = list(step.kind.beside(planned.recipe, step.config, step.expected))
    found, seconds, gpus = dict[str, ModelShape](), 0.0, 0
    for one in besides:
        shape = shape_of(planned, one.reads.model) if one.reads is not None else None
        if one.reads is None or shape is None:
            return StepTime(None, False)
        found[one.reads.model.model] = shape
        cards = planned.recipe.runtime.tensor_parallel if one.reads.by_vllm else 1
        passes = 0 if one.reads.by_vllm else one.number
        tokens = one.number * one.reads.tokens
        seconds += costs.reading_seconds(shape, card, one.reads.dtype, tokens=tokens, passes=passes) / cards
        gpus = max(gpus, cards)
    shapes |= found
    return StepTime(seconds, False, gpus) if besides else StepTime(None, False)


def replicas_of(planned: Plan) -> int | None:
    """How many engines answer at once; None: `all`, and nobody knows yet how many find a place."""
    runtime, cards = planned.recipe.runtime, len(this_machine().cards)
    if runtime.replicas != "all":
        return runtime.replicas
    if runtime.cluster != "local" or not cards or is_for_another_card(planned.recipe):
        return None
    return max(cards // runtime.gpus_of_one, 1)


def _cards_of(planned: Plan) -> int:
    """Cards that answer at once; replicas of unknown number are counted as one."""
    return planned.recipe.runtime.gpus_of_one * (replicas_of(planned) or 1)
