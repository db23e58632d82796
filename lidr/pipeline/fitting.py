"""Memory that each step of a plan takes, whether a GPU has it, and what to change where it has not.

Advice names what helps the step: settings of training help no model that only answers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from lidr import costs
from lidr.costs import Card, ModelShape
from lidr.engines import engine_row
from lidr.pipeline.needs import (
    Need,
    asks_elsewhere,
    folders_of,
    gigabytes,
    held_by,
    length_of,
    shape_of,
    texts_at_once,
    training_of,
)
from lidr.pipeline.planned import Plan, PlannedStep
from lidr.pipeline.rates import engine_of, model_of
from lidr.recipe import PolicyConfig
from lidr.steps import Served

_VLLM_TAKES = 0.92
"""Share of a GPU that vLLM's own server takes, where nobody tells it another (vllm 0.32: config/cache.py)."""
_MOST_GPUS = 64  # that share one model
_SMALLER = "take a smaller model, or a GPU with more memory (runtime.gpu)"


@dataclass(frozen=True)
class MemoryNeed(Need):
    """Memory that a step takes.

    Args:
        place: of the step.
        work: what takes it: writing, training, reading, judging.
        most: bytes that it can have.
        share: of the whole, where vLLM leaves some of it to others.
        advice: what to change, where it takes more.
    """

    place: str
    work: str
    most: int
    share: float = 1.0
    advice: str = ""

    @property
    def fits(self) -> bool:
        """Whether it can have so much."""
        return self.size <= self.most


def memory_needs(planned: Plan, todo: list[PlannedStep], card: Card | None) -> tuple[MemoryNeed, ...]:
    """What each step takes of one card, or of main memory where there is none."""
    return tuple(need for step in todo for need in _Fitting(planned, step, card).needs())


def largest(needs: tuple[MemoryNeed, ...]) -> tuple[MemoryNeed, ...]:
    """Of each kind of work the largest, before all those that do not fit."""
    works = ("writing", "training", "reading", "judging")
    found = ([need for need in needs if need.work == work] for work in works)
    return tuple(max(some, key=lambda need: (not need.fits, need.size)) for some in found if some)


@dataclass(frozen=True)
class _Fitting:
    """One step on one card."""

    planned: Plan
    step: PlannedStep
    card: Card | None

    @property
    def room(self) -> int:
        return self.card.memory * 10**9 if self.card is not None else costs.main_memory()

    def needs(self) -> Iterator[MemoryNeed]:
        planned, step = self.planned, self.step
        for beside in step.kind.beside(planned.recipe, step.config, step.expected):
            if beside.served is not None:
                yield from self._judging(beside.served)
        if step.expected.unit == "values":  # each scorer's model is loaded after the other, as the policy is
            for name, brought, _ in step.config.brought:
                yield from self._reading(name, brought)
            return
        model = model_of(planned.recipe, step.config, step.expected)
        shape = shape_of(planned, model) if model is not None else None
        if model is None or shape is None:
            return
        if step.expected.trains:
            yield self._training(shape, model)
        elif step.expected.tokens and not asks_elsewhere(planned, step):
            yield self._writing(shape, model)

    def _need(self, work: str, size: int, parts: str, advice: str, share: float = 1.0, what: str = "") -> MemoryNeed:
        most = int(self.room * share)
        told = advice if size > most else ""
        return MemoryNeed(what or self.step.name, size, parts, self.step.place, work, most, share, told)

    def _training(self, shape: ModelShape, model: PolicyConfig) -> MemoryNeed:
        runtime, config = self.planned.recipe.runtime, self.step.config
        training = replace(training_of(self.planned, self.step), on_cpu=self.card is None)
        parts = costs.training_bytes(shape, model.dtype, training)
        said = ", ".join(f"{part} {gigabytes(size)}" for part, size in parts.items())
        if runtime.train_processes > 1:
            said += f"; each of {runtime.train_processes} processes"
        passing = sum(size for part, size in parts.items() if part.startswith(("activations", "logits")))
        is_shared = runtime.sharding != "none"
        helps = {
            "runtime.micro_batch": training.micro_batch > 1,
            "runtime.gradient_checkpointing": not runtime.gradient_checkpointing,
        }
        if sum(parts.values()) - passing > self.room:  # less to pass through it does not help
            helps = {}
        helps |= {
            "runtime.sharding with train_processes": not is_shared,
            "train.lora": config.lora is None,
            "train.load.quantization": bool(config.lora) and not training.quantization and not is_shared,
        }
        names = [name for name, does in helps.items() if does]
        listed = names[0] if len(names) == 1 else f"{', '.join(names[:-1])}, and {names[-1]}" if names else ""
        return self._need("training", sum(parts.values()), said, f"see {listed}" if listed else _SMALLER)

    def _writing(self, shape: ModelShape, model: PolicyConfig) -> MemoryNeed:
        """vLLM spreads a model over several cards, and lets texts wait that do not fit beside the weights; other
        engines hold a whole batch at once.
        """
        planned, runtime = self.planned, self.planned.recipe.runtime
        length = length_of(planned, self.step)
        is_vllm = engine_of(planned.recipe, self.step.config, self.step.expected) == "vllm"
        cards, share = (runtime.tensor_parallel, runtime.gpu_memory) if is_vllm else (1, 1.0)
        stages = runtime.stages if is_vllm else 1
        packed, cache_dtype = held_by(planned, self.step, model.dtype)

        def on(number: int) -> tuple[int, int]:
            """The weights, and one text, on each of the cards, of which so many share a layer."""
            together = number * stages
            one = costs.cache_bytes(shape, cache_dtype, length, together, stages)
            return costs.frozen_bytes(shape, model.dtype, packed) // together, one

        weights, one = on(cards)
        most = int(self.room * share)
        waits = is_vllm and self.card is not None
        fitting = max((most - weights) // one, 1)
        asked = min(texts_at_once(planned, self.step), self.step.expected.count)
        texts = min(asked, fitting) if waits else asked
        which = f"{texts} of {asked}" if texts < asked else f"{texts}"
        kept = f"keys and values of {which} texts of {length:,} tokens {gigabytes(texts * one)}"
        if not waits and weights + one <= most:
            advice = f"runtime.engine_batch {fitting} is the most"
        else:
            advice = self._shared(model, lambda number: sum(on(number)), self._engine_setting(), is_vllm=is_vllm)
        return self._need("writing", weights + texts * one, f"weights {gigabytes(weights)}, {kept}", advice, share)

    def _engine_setting(self) -> str | None:
        """The setting that gives the step's model to vLLM; None where that cannot run it."""
        engine = engine_of(self.planned.recipe, self.step.config, self.step.expected)
        if engine is not None and engine_row(engine).only_translates:
            return None
        return f"{self.step.name}.by.engine" if getattr(self.step.config, "models", ()) else "runtime.engine"

    def _reading(self, name: str, model: PolicyConfig) -> Iterator[MemoryNeed]:
        """Of a model of a scorer: its weights, or the share of the card that vLLM takes at once."""
        if (shape := shape_of(self.planned, model)) is None:
            return
        runtime, given = self.planned.recipe.runtime, self.step.config.given[name]
        whole = costs.weight_bytes(shape, self.planned.recipe.policy.dtype)
        is_vllm = getattr(given, "engine", None) == "vllm"
        setting = f"{self.step.name}.{name}.engine" if hasattr(given, "engine") else None
        advice = self._shared(model, lambda number: whole // number, setting, is_vllm=is_vllm)
        if is_vllm:
            takes = f"vLLM takes runtime.gpu_memory {runtime.gpu_memory:g} of a card whatever they are"
            yield self._by_vllm("reading", whole // runtime.tensor_parallel, takes, advice, runtime.gpu_memory)
        else:
            yield self._need("reading", whole, f"weights {gigabytes(whole)}; answers come on top", advice)

    def _judging(self, served: Served) -> Iterator[MemoryNeed]:
        if (shape := shape_of(self.planned, served.model)) is None:
            return
        weights = costs.weight_bytes(shape, served.model.dtype)
        what = f"the judge of {self.step.name}"
        advice = (
            "a local judge has one GPU: serve it on several with vLLM and name it as openai:MODEL@URL, or take a "
            "smaller one"
        )
        if served.engine == "vllm":
            takes = f"vLLM's server takes {_VLLM_TAKES:g} of a card whatever they are"
            yield self._by_vllm("judging", weights, takes, advice, _VLLM_TAKES, what)
        else:
            yield self._need(
                "judging", weights, f"weights {gigabytes(weights)}; questions come on top", advice, 1, what
            )

    def _by_vllm(self, work: str, weights: int, takes: str, advice: str, share: float, what: str = "") -> MemoryNeed:
        size = max(weights, int(self.room * share)) if self.card is not None else weights
        return self._need(work, size, f"weights {gigabytes(weights)}; {takes}", advice, share, what)

    def _shared(self, model: PolicyConfig, on: Callable[[int], int], setting: str | None, *, is_vllm: bool) -> str:
        """How several GPUs hold a model by vLLM.

        Args:
            model: which.
            on: bytes on each of so many GPUs.
            setting: that gives it to vLLM; None: none does.
            is_vllm: whether it runs it already.
        """
        if self.card is None:
            return "take a smaller model, or plan for a GPU: --set runtime.gpu=H100"
        runtime = self.planned.recipe.runtime
        most = int(self.room * runtime.gpu_memory)
        found = (costs.heads_in(folder) for folder in folders_of(model, self.planned.recipe.folder))
        heads: Any = next((one for one in found if one is not None), None)
        first = runtime.tensor_parallel + 1 if is_vllm else 1
        for number in range(first, _MOST_GPUS + 1) if is_vllm or setting else ():
            divides = costs.can_share(number, *heads) if heads else number & (number - 1) == 0
            if divides and on(number) <= most:
                if is_vllm:
                    return f"runtime.tensor_parallel {number} shares it among {number * runtime.stages} GPUs"
                return f"{setting} vllm and runtime.tensor_parallel {number} share it among {number} GPUs"
        return _SMALLER
