"""Looks at the pairs that are kept aside, while the others are trained: the loss as trained, margin, accuracy.

A look is an entry of the trainer's log, so that checkpoints hold all of them, and a run that goes on from one decides
as it would have decided. With patience the trained weights at the best look are kept beside the checkpoints:

    <run>/best.safetensors                 at the best look so far
         /checkpoint-20/best.safetensors   at the best look up to step 20; the same file on disk, where that can be
"""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from transformers import TrainerCallback

from lidr.errors import TrainError
from lidr.train.dpo import PairTrainer
from lidr.train.loss import OptimiserBatch
from lidr.train.token_table import TokenTable
from lidr.train.training_spec import HeldOutResult, Look, TrainSpec

BEST = "best.safetensors"
"""In the folder of a run, and in its checkpoints: the trained weights at the best look."""

_A_LOOK = "held_out/"  # begins the names of its numbers in the trainer's log


class Looks(TrainerCallback):  # type: ignore[misc]  # transformers is not followed by mypy
    """Looks while a trainer trains, and ends training when the loss has not fallen for long enough."""

    def __init__(
        self, trainer: PairTrainer, spec: TrainSpec, held_out: TokenTable, folder: Path, say: Callable[[str], None]
    ) -> None:
        """Look at nothing yet.

        Args:
            trainer: has the pairs as its `eval_dataset`.
            spec: with `held_out`.
            held_out: the pairs.
            folder: of the run.
            say: is told of each look.
        """
        assert spec.held_out is not None
        self._trainer, self._pairs, self._say, self._best = trainer, len(held_out), say, folder / BEST
        self._every = spec.held_out.every or math.ceil(len(trainer.train_dataset) / (4 * spec.batch))
        self._patience = spec.held_out.patience
        tokens = sum(pair.weight * len(pair.chosen_ids) for pair in held_out)
        self._whole = OptimiserBatch(sum(pair.weight for pair in held_out), tokens, parts=1)

    def on_log(self, args: Any, state: Any, control: Any, logs: Mapping[str, float], **_: Any) -> None:
        """Look after an optimiser step, which was logged just now; a checkpoint of this step is written after it."""
        if "nll" not in logs or (state.global_step % self._every and state.global_step < state.max_steps):
            return
        look = self._look(state.global_step)
        looks = self._looks()
        best = _best(looks)
        compared = "" if look.margin is None else f", margin {look.margin:+.4f}, accuracy {look.accuracy:.3f}"
        place = "the best so far" if best == look else f"best {best.loss:.4f} at step {best.step}"
        self._say(f"step {look.step}: held-out loss {look.loss:.4f}{compared} ({place})")
        if self._patience is None:
            return
        if best == look:
            self._keep()
        elif len(looks) - 1 - looks.index(best) >= self._patience and not control.should_training_stop:
            control.should_training_stop = True
            control.should_save = False  # a run that went on from it would take one more step
            said = f"training ends at step {look.step}, and the policy is that of step {best.step}"
            self._say(f"{said} (held_out.patience: {self._patience})")

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Put the best weights into a checkpoint."""
        if self._patience is not None and self._looks():
            _give(self._best, Path(args.output_dir) / f"checkpoint-{state.global_step}" / BEST)

    def go_on_from(self, checkpoint: Path) -> None:
        """Take back the best weights of a checkpoint: those beside it may be of a later look."""
        if (checkpoint / BEST).exists():
            _give(checkpoint / BEST, self._best)

    def finish(self, *, prompts: int) -> HeldOutResult:
        """After training: the looks, and with patience the trainer's policy is that of the best.

        Args:
            prompts: that are kept aside.
        """
        looks, ended = self._looks(), self._trainer.state.global_step
        best = _best(looks)
        kept = ended if self._patience is None else best.step
        if kept != ended:
            self._restore()
        return HeldOutResult(prompts, self._pairs, self._every, looks, ended, best.step, kept)

    def _look(self, step: int) -> Look:
        trainer = self._trainer
        trainer.model.eval()
        loss, margins = 0.0, []
        for start in range(0, self._pairs, trainer.args.per_device_eval_batch_size):
            rows = range(start, min(start + trainer.args.per_device_eval_batch_size, self._pairs))
            # no DataLoader, which would draw a number, and training go on with other ones
            inputs = trainer._prepare_inputs(trainer.data_collator([trainer.eval_dataset[row] for row in rows]))
            with torch.no_grad():
                part, found = trainer.loss_of(inputs, self._whole)
            loss += float(part)
            margins += [] if found is None else found.tolist()
        if not math.isfinite(loss):
            raise TrainError(
                f"step {step}: the loss of the pairs that are kept aside is {loss}: the weights are broken. Lower "
                "learning_rate, raise warmup_ratio, or train in float32 or bfloat16"
            )
        means = {"margin": sum(margins), "accuracy": sum(one > 0 for one in margins)} if margins else {}
        numbers = {"loss": loss, **{name: value / len(margins) for name, value in means.items()}}
        trainer.log({f"{_A_LOOK}{name}": value for name, value in numbers.items()})  # in eval mode: the look alone
        trainer.model.train()
        return self._looks()[-1]

    def _looks(self) -> tuple[Look, ...]:
        logged = self._trainer.state.log_history
        return tuple(
            Look(
                step=entry["step"],
                loss=entry[f"{_A_LOOK}loss"],
                margin=entry.get(f"{_A_LOOK}margin"),
                accuracy=entry.get(f"{_A_LOOK}accuracy"),
            )
            for entry in logged
            if f"{_A_LOOK}loss" in entry
        )

    def _trained(self) -> dict[str, torch.Tensor]:
        return {name: one.detach() for name, one in self._trainer.model.named_parameters() if one.requires_grad}

    def _keep(self) -> None:
        partial = self._best.with_name(f"{BEST}.partial")
        save_file({name: weights.contiguous() for name, weights in self._trained().items()}, partial)
        partial.replace(self._best)

    def _restore(self) -> None:
        kept = load_file(self._best)
        for name, weights in self._trained().items():
            weights.copy_(kept[name])


def _best(looks: tuple[Look, ...]) -> Look:
    return min(looks, key=lambda look: look.loss)


def _give(file: Path, place: Path) -> None:
    """Let a file be in another place, too; it is never written again, only replaced."""
    place.unlink(missing_ok=True)
    try:
        os.link(file, place)
    except OSError:  # as on file systems without links
        shutil.copyfile(file, place)
