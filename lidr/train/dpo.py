"""Our loss inside TRL 1.16: one subclass of its DPOTrainer, and the settings that it runs with.

TRL gives the loop, the fused log-probabilities, the DPO term and the reference pass; lidr gives the NLL term
(lidr.train.loss), the tokens (lidr.train.tokens) and the settings (trl_settings). What lidr leans on is named
here, because the next TRL may move it: `_compute_loss`, `_prepare_dataset`, `_precompute_ref_logps`,
`compute_ref_log_probs`, `get_batch_samples`, `_metrics`, and the forward's `fused_lm_head` and `.log_probs`.

Whose log-probabilities q are the reference, and how TRL is made to take them (design notes, measured):

    initial      those of spec.initial, loaded as `ref_model` for one pass over the pairs, then let go
    previous     those of spec.policy: the model that will be trained, before its first step (LoRA: adapter off)
    adapter_off  those of the trained model with its adapter off; the same weights as previous, LoRA only

All are computed before the first step and kept on disk, so training holds one model and a resumed run the same numbers.
Models are always given to TRL as paths: from a model in memory it reloads another one as the reference.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from torch.utils.data import DataLoader
from transformers import TrainerCallback
from trl import DPOTrainer
from trl.trainer.utils import create_model_from_path

from lidr.errors import TrainError
from lidr.train.adapters import lora_config
from lidr.train.checkpoints import read_reference, write_reference
from lidr.train.loss import OptimiserBatch, nll
from lidr.train.tokens import TokenPair
from lidr.train.training_spec import TrainSpec
from lidr.train.trl_settings import check, check_ln2, dpo_config, reference_folder, starts_at_reference, weights_dtype


class PairTrainer(DPOTrainer):  # type: ignore[misc]  # TRL ships no types
    """TRL's DPOTrainer with the NLL term of lidr.train.loss, over pairs that are already tokenised.

    Logs, each step: `dpo`, `nll` (nats), and TRL's own metrics, among them `rewards/margins`, `rewards/accuracies`.
    """

    def __init__(
        self, spec: TrainSpec, pairs: list[TokenPair], tokenizer: Any, folder: Path, callbacks: list[TrainerCallback]
    ) -> None:
        """Load the policy and compute the reference log-probabilities, or read them from `folder`.

        Args:
            spec: the run.
            pairs: what to train on.
            tokenizer: the policy's.
            folder: keeps the checkpoints and reference.json.
            callbacks: see the progress of the run.
        """
        check(spec)
        self._spec = spec
        self._reference_file = folder / "reference.json"
        self._whole: OptimiserBatch | None = None
        ids = [self._ids(pair) for pair in pairs]
        super().__init__(
            model=spec.policy,
            ref_model=None if self._reference_file.exists() else self._reference_model(),
            args=dpo_config(spec, folder),
            train_dataset=Dataset.from_list(ids),
            processing_class=tokenizer,
            callbacks=callbacks,
            peft_config=lora_config(spec.lora) if spec.lora else None,
        )
        self.ref_model = None  # its log-probabilities are in the dataset now
        if spec.lora and spec.lora.dropout:
            _disable_base_dropout(self.model)

    @staticmethod
    def _ids(pair: TokenPair) -> dict[str, list[int]]:
        return {"prompt_ids": pair.prompt_ids, "chosen_ids": pair.chosen_ids, "rejected_ids": pair.rejected_ids}

    def _reference_model(self) -> Any:
        """Load the reference model where it is other weights than the policy's; else TRL takes the policy itself."""
        if starts_at_reference(self._spec):
            return None
        return create_model_from_path(
            reference_folder(self._spec),
            dtype=weights_dtype(self._spec),
            trust_remote_code=self._spec.trust_remote_code,
        )

    def completion_logps(self, inputs: dict[str, Any]) -> torch.Tensor:
        """Log-probabilities of the completions under the policy as it stands: (2 * batch,) nats, chosen first."""
        labels = inputs["input_ids"].masked_fill(inputs["completion_mask"] == 0, -100)
        ids = {name: inputs[name] for name in ("input_ids", "attention_mask")}
        with torch.no_grad(), self.accelerator.autocast():
            outputs = self.model(**ids, labels=labels, use_cache=False, fused_lm_head=True)
        log_probs: torch.Tensor = outputs.log_probs  # (2 * batch, tokens - 1)  nats, 0 outside completions
        return log_probs.sum(dim=1)

    def _compute_loss(self, model: Any, inputs: dict[str, Any], return_outputs: bool) -> torch.Tensor:
        """TRL's DPO term plus our NLL term of one micro-batch; both as lidr.train.loss.dpo_nll defines them."""
        kept: dict[str, Any] = {}

        def forward(**kwargs: Any) -> Any:
            kept["outputs"] = model(**kwargs)
            return kept["outputs"]

        dpo = super()._compute_loss(forward, inputs, return_outputs)  # mean over this micro-batch
        chosen_logps = kept["outputs"].log_probs.sum(dim=1).chunk(2)[0]  # (micro_batch,)  nats
        chosen_lengths = inputs["completion_mask"][:, 1:].sum(dim=1).chunk(2)[0]  # (micro_batch,)  tokens
        nll_term = nll(chosen_logps, chosen_lengths, per=self._spec.nll_per, part_of=self._whole)
        share = 1.0 if self._whole is None else len(chosen_lengths) * self._whole.parts / self._whole.pairs
        dpo_term = dpo * share  # 1 unless the last micro-batch of the epoch is smaller
        loss: torch.Tensor = dpo_term + self._spec.nll_weight * nll_term
        self._note(dpo_term.detach(), nll_term.detach(), share)
        return loss

    def get_batch_samples(self, epoch_iterator: Iterator[Any], num_batches: int, device: torch.device) -> Any:
        """Count the optimiser batch that the trainer has just fetched: what the parts of a mean are weighed by."""
        batches, items = super().get_batch_samples(epoch_iterator, num_batches, device)
        pairs = sum(len(batch["input_ids"]) // 2 for batch in batches)
        tokens = sum(int(batch["completion_mask"].chunk(2)[0][:, 1:].sum()) for batch in batches)
        counts = torch.tensor([[pairs, tokens, len(batches)]], device=self.accelerator.device)
        self._whole = OptimiserBatch(*self.accelerator.gather(counts).sum(dim=0).tolist())
        return batches, items

    def _note(self, dpo: torch.Tensor, nll_term: torch.Tensor, share: float) -> None:
        """Stop if the numbers cannot be right; else log them beside TRL's."""
        metrics = self._metrics["train"]
        for name in ("rewards/margins", "rewards/accuracies"):
            metrics[name][-1] *= share
        terms = self._log(dpo=dpo, nll=nll_term)
        if self.state.global_step == 0 and starts_at_reference(self._spec):
            check_ln2(terms["dpo"] / share, self._spec)

    def _log(self, **terms: torch.Tensor) -> dict[str, float]:
        """Log the terms of the loss, each the mean over all processes.

        Raises:
            TrainError: one is not finite.
        """
        means = self.accelerator.gather(torch.stack([*terms.values()])[None]).mean(dim=0).tolist()
        named = dict(zip(terms, means, strict=True))
        for name, value in named.items():
            self._metrics["train"][name].append(value)
        if not math.isfinite(sum(means)):
            said = ", ".join(f"{name} {value}" for name, value in named.items())
            raise TrainError(
                f"step {self.state.global_step + 1}: the loss is not finite ({said}). Lower "
                "learning_rate, raise warmup_ratio, or train in float32 or bfloat16"
            )
        return named

    def _prepare_dataset(self, dataset: Dataset, *_: Any) -> Dataset:
        return dataset  # tokenised already

    def _precompute_ref_logps(self, dataset: Dataset, name: str, batch_size: int) -> Dataset:
        """Add the reference log-probabilities, computed now or read back. TRL's own cache is per process."""
        chosen, rejected = read_reference(self._reference_file) or self._reference_logps(dataset, batch_size)
        return dataset.add_column("ref_chosen_logps", chosen).add_column("ref_rejected_logps", rejected)

    def _reference_logps(self, dataset: Dataset, batch_size: int) -> tuple[list[float], list[float]]:
        """Run the reference over the pairs: TRL takes `ref_model`, or else the policy with its adapter off."""
        loader = self.accelerator.prepare(DataLoader(dataset, batch_size=batch_size, collate_fn=self.data_collator))
        batches = [
            self.accelerator.gather_for_metrics(self.compute_ref_log_probs(self.ref_model or self.model, batch))
            for batch in loader
        ]
        chosen, rejected = (torch.cat(side).tolist() for side in zip(*batches, strict=True))
        if self.accelerator.is_main_process:
            write_reference(self._reference_file, chosen, rejected)
        return chosen, rejected

    def _send_telemetry(self) -> None:
        """TRL tells its makers of each run; a run of lidr is nobody else's business."""

    def create_model_card(self, *_: Any, **__: Any) -> None:
        """TRL writes a card beside each checkpoint; lidr writes its own from records."""


def _disable_base_dropout(model: torch.nn.Module) -> None:
    """Keep LoRA's own dropout and no other; the reference log-probabilities were computed without any."""
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Dropout) and "lora_dropout" not in name:
            module.p = 0.0
