"""What keeps a training from being shared by several processes of this machine: said before anything is made."""

from __future__ import annotations

from collections.abc import Iterator

from lidr.costs import this_machine
from lidr.recipe import Recipe
from lidr.steps.train.train_config import TrainConfig


def process_problems(recipe: Recipe, config: TrainConfig) -> Iterator[tuple[str, str]]:
    """A batch that the processes cannot share evenly, more of them than cards, settings that need whole weights.

    Yields:
        The setting of `runtime`, and what is wrong.
    """
    runtime = recipe.runtime
    processes, cards = runtime.train_processes, len(this_machine().cards)
    if runtime.sharding != "none" and processes == 1:
        yield "sharding", f"{runtime.sharding} needs several processes: give runtime.train_processes"
    if processes > 1 and cards and runtime.gpu is None and processes > cards:
        yield (
            "train_processes",
            f"{processes} processes need a GPU each, and this machine has {cards}: give at most {cards}",
        )
    micro = min(runtime.micro_batch, config.batch)
    if config.batch % (micro * processes):
        several = f" times train_processes {processes}" if processes > 1 else ""
        yield (
            "train_processes" if processes > 1 else "micro_batch",
            f"train.batch {config.batch} is not a multiple of micro_batch {micro}{several}, so an optimiser step "
            f"cannot be shared evenly: change one of them",
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


def _unshared(config: TrainConfig) -> str | None:
    """Of the settings of `train` one that needs whole weights."""
    if config.load.quantization:
        return "load.quantization"
    given = config.lora.peft.model_dump(exclude_defaults=True) if config.lora else {}
    return next(
        (f"lora.peft.{name}" for name in ("use_dora", "modules_to_save", "target_parameters") if name in given), None
    )
