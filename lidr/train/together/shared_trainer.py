"""TRL's DPOTrainer where several processes train together: batches that they share, and a policy in parts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from datasets import Dataset
from peft import PeftModel
from torch.utils.data import DataLoader
from transformers.trainer_utils import SaveStrategy
from trl import DPOConfig, DPOTrainer
from trl.trainer import dpo_trainer

from lidr.train.together.sharded_policy import (
    adapter_weights,
    is_in_parts,
    load_optimiser,
    load_weights,
    save_optimiser,
)
from lidr.train.together.shared_batches import Rounds, first_pairs, own_pairs, size_of


class SharedTrainer(DPOTrainer):  # type: ignore[misc]  # TRL ships no types
    """One of several trainers, or the only one."""

    def __init__(self, *, args: DPOConfig, **more: Any) -> None:
        """Take what TRL's trainer takes."""
        self._rounds: Rounds | None = None
        with _without_hash(), _without_checkpoints(args):
            super().__init__(args=args, **more)

    def get_batch_samples(self, epoch_iterator: Iterator[Any], num_batches: int, device: torch.device) -> Any:
        """Count the optimiser batch that the trainer has just fetched: what the parts of a mean are weighed by."""
        batches, items = super().get_batch_samples(epoch_iterator, num_batches, device)
        size, processes = self.args.per_device_train_batch_size, self.accelerator.num_processes
        process, lengths = self.accelerator.process_index, [len(batch["input_ids"]) // 2 for batch in batches]
        pairs = [[length] * processes for length in lengths]
        if batches and self.accelerator.gradient_state.end_of_dataloader and not self.args.dataloader_drop_last:
            pairs[-1] = own_pairs(len(self.train_dataset), micro_batch=size, processes=processes)
            batches[-1] = first_pairs(batches[-1], max(1, pairs[-1][process]))
        if batches:
            own = [size_of(batch, counts[process]) for batch, counts in zip(batches, pairs, strict=True)]
            sizes = self.accelerator.gather(torch.stack(own).sum(dim=0, keepdim=True).to(self.accelerator.device))
            self._rounds = Rounds(pairs, sizes.sum(dim=0).tolist(), process)
        else:
            self._rounds = None
        return batches, items

    def advance(self, inputs: dict[str, Any]) -> Rounds:
        """Go on to the next micro-batch of an optimiser step; one outside of training is a step of its own."""
        rounds = self._rounds or Rounds([[len(inputs["input_ids"]) // 2]], size_of(inputs).tolist())
        rounds.advance()
        return rounds

    def in_order(self, dataset: Dataset, batch_size: int) -> Any:
        """Collated batches of pairs, in order, dealt out to the processes: their results go to `gather_for_metrics`."""
        return self.accelerator.prepare(DataLoader(dataset, batch_size=batch_size, collate_fn=self.data_collator))

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None) -> None:
        if is_in_parts(self.model) and isinstance(self.model, PeftModel):
            state_dict = adapter_weights(self.model)
        super()._save(output_dir, state_dict)

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        if is_in_parts(self.model):
            save_optimiser(self, output_dir)
        else:
            super()._save_optimizer_and_scheduler(output_dir)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        if checkpoint is not None and is_in_parts(self.model):
            load_optimiser(self, checkpoint)
        else:
            super()._load_optimizer_and_scheduler(checkpoint)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        if is_in_parts(self.model) and not isinstance(self.model, PeftModel):
            load_weights(self.model, resume_from_checkpoint, is_first=self.is_world_process_zero())
        else:
            super()._load_from_checkpoint(resume_from_checkpoint, model)


@contextmanager
def _without_hash() -> Iterator[None]:
    """Keep TRL from hashing all weights, for the name of a cache that lidr does not use; it cannot hash parts."""
    hash_module, dpo_trainer.hash_module = dpo_trainer.hash_module, lambda model: ""
    try:
        yield
    finally:
        dpo_trainer.hash_module = hash_module


@contextmanager
def _without_checkpoints(args: DPOConfig) -> Iterator[None]:
    """transformers refuses checkpoints of a model in parts, whose optimiser it does not save; SharedTrainer does."""
    strategy, args.save_strategy = args.save_strategy, SaveStrategy.NO
    try:
        yield
    finally:
        args.save_strategy = strategy
