"""What keeps a training from being shared by several processes of this machine: said before anything is made."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from lidr.costs import this_machine
from lidr.errors import PlanError
from lidr.recipe import Recipe
from lidr.steps.train.train_config import TrainConfig
from lidr.train import IN_PARTS, Launch


def process_problems(recipe: Recipe, config: TrainConfig) -> Iterator[tuple[str, str]]:
    """A batch that the processes cannot share evenly, settings that need whole weights.

    Yields:
        The setting of `runtime`, and what is wrong.
    """
    for setting, said in _unshareable(recipe, config):
        is_of_file = recipe.launch is not None and setting in ("train_processes", "sharding")
        yield "accelerate_config" if is_of_file else setting, said
    if recipe.launch is not None:
        yield from (("accelerate_config", said) for said in _other_launch(recipe, recipe.launch))


def process_lacks(recipe: Recipe, config: TrainConfig) -> Iterator[tuple[str, str, str]]:
    """More processes than this machine has GPUs, or processes on CPUs where it has some.

    Yields:
        The setting of `runtime`, what is lacking, and what to do to train here.
    """
    processes, cards = recipe.runtime.train_processes, len(this_machine().cards)
    if recipe.launch is not None and recipe.launch.on_cpu and cards:
        yield (
            "accelerate_config",
            f"it asks for CPUs, and lidr trains on the {cards} GPUs of this machine",
            "take MULTI_CPU or use_cpu out of it, or hide the GPUs (CUDA_VISIBLE_DEVICES='')",
        )
    if 1 < processes > cards > 0:
        yield (
            "train_processes" if recipe.launch is None else "accelerate_config",
            f"{processes} processes need a GPU each, and this machine has {cards}",
            f"give at most {cards}",
        )


def _other_launch(recipe: Recipe, launch: Launch) -> Iterator[str]:
    """What a file of accelerate asks for, and is not what this recipe does."""
    if launch.checkpointing and not recipe.runtime.gradient_checkpointing:
        yield (
            "it asks for fsdp_activation_checkpointing, and runtime.gradient_checkpointing is false: write true there, "
            "or false in the file"
        )


def check_precision(recipe: Recipe) -> None:
    """Refuse a file of accelerate that names another arithmetic than the recipe, where it is part of the identity.

    Raises:
        PlanError: it does; unless policy.dtype is auto and not known yet.
    """
    named, dtype = recipe.launch.precision if recipe.launch else None, recipe.policy.dtype
    if named is not None and dtype not in ("auto", named):
        raise PlanError(
            f"runtime.accelerate_config: its mixed_precision stands for {named}, and policy.dtype is {dtype}, which is "
            "part of the identity: change one of the two, or take mixed_precision out"
        )


def _unshareable(recipe: Recipe, config: TrainConfig) -> Iterator[tuple[str, str]]:
    runtime = recipe.runtime
    processes = runtime.train_processes
    if runtime.sharding != "none" and processes == 1:
        more = "more num_processes" if recipe.launch else "runtime.train_processes"
        yield "sharding", f"{runtime.sharding} needs several processes: give {more}"
    micro = min(runtime.micro_batch, config.batch)
    if config.batch % (micro * processes):
        several = f" times train_processes {processes}" if processes > 1 else ""
        yield (
            "train_processes" if processes > 1 else "micro_batch",
            f"train.batch {config.batch} is not a multiple of micro_batch {micro}{several}, so an optimiser step "
            f"cannot be shared evenly; what fits: {_what_fits(recipe, config.batch, micro)}",
        )
    if processes > 1 and config.held_out:
        yield (
            "train_processes",
            "several processes keep no pairs aside: take train.held_out out, or train in one process",
        )
    if processes > 1 and config.trl.get("dataloader_drop_last"):
        yield (
            "train_processes",
            "with train.trl.dataloader_drop_last several processes leave out other pairs than one does: take one of "
            "the two out",
        )
    if runtime.sharding != "none" and (unshared := _unshared(config)):
        yield "sharding", f"{runtime.sharding} does not go with train.{unshared}: take one of the two out"
    optimiser = config.trl.get("optim", IN_PARTS[0])
    if runtime.sharding != "none" and config.lora is None and optimiser not in IN_PARTS:
        yield (
            "sharding",
            f"{runtime.sharding} does not go with train.trl.optim {optimiser}, which needs whole weights: take one of "
            f"{', '.join(IN_PARTS)}, or train an adapter (train.lora), which is whole on each GPU",
        )


def _what_fits(recipe: Recipe, batch: int, micro: int) -> str:
    """Of each setting the nearest numbers that go with the others."""
    processes, each = recipe.runtime.train_processes, micro * recipe.runtime.train_processes
    found = {
        "runtime.micro_batch": _nearest(micro, (n for n in range(1, batch + 1) if batch % (n * processes) == 0)),
        "train.batch": _nearest(batch, (batch // each * each, (batch // each + 1) * each)),
    }
    if processes > 1:
        setting = "num_processes" if recipe.launch else "runtime.train_processes"
        found[setting] = _nearest(processes, (n for n in range(1, batch + 1) if batch % (n * micro) == 0))
    return "; ".join(f"{setting} {' or '.join(map(str, fits))}" for setting, fits in found.items() if fits)


def _nearest(number: int, fits: Iterable[int]) -> list[int]:
    """The nearest one below, and above."""
    some = [one for one in fits if one > 0]
    below, above = [one for one in some if one < number], [one for one in some if one > number]
    return [*([max(below)] if below else []), *([min(above)] if above else [])]


def _unshared(config: TrainConfig) -> str | None:
    """Of the settings of `train` one that needs whole weights."""
    if config.load.quantization:
        return "load.quantization"
    given = config.lora.peft.model_dump(exclude_defaults=True) if config.lora else {}
    return next(
        (f"lora.peft.{name}" for name in ("use_dora", "modules_to_save", "target_parameters") if name in given), None
    )
