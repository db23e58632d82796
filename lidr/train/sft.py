"""The paper's baseline "multilingual alignment": the NLL of the chosen answers alone, in the trainer of the method.

    loss = nll    (see lidr.train.loss; `per` says what it is a mean over)

Same loop, tokens, optimiser, LoRA and checkpoints as DPO + NLL, so that the two differ in the loss and in nothing else.
Rejected answers are not tokenised, no forward pass sees them, and there is no reference model.
"""

from __future__ import annotations

from typing import Any

import torch
from datasets import Dataset

from lidr.rows import WEIGHT
from lidr.train.dpo import PairTrainer
from lidr.train.loss import OptimiserBatch, nll


class ChosenTrainer(PairTrainer):
    """Trains on the chosen side of pairs. Logs, each step: `nll` (nats)."""

    REJECTED = "chosen_ids"
    """TRL's collator wants two sides of a pair; the second is never read, and the same length pads nothing."""

    def _reference_model(self, args: Any) -> Any:
        return None

    def _precompute_ref_logps(self, dataset: Dataset, name: str, batch_size: int) -> Dataset:
        return dataset  # there is no reference

    def loss_of(self, inputs: dict[str, Any], whole: OptimiserBatch) -> tuple[torch.Tensor, None]:
        """As in DPO + NLL; the loss is the NLL alone, and there are no margins."""
        names = ("input_ids", "attention_mask", "completion_mask")
        chosen = {name: inputs[name].chunk(2)[0] for name in names}  # (batch, tokens)
        lengths = chosen["completion_mask"][:, 1:].sum(dim=1)  # (batch,)  tokens
        return self._nll_part(self.completion_logps(chosen), lengths, inputs, whole), None

    def _compute_loss(self, model: Any, inputs: dict[str, Any], return_outputs: bool) -> torch.Tensor:
        """The NLL term of one micro-batch; its part of the optimiser batch is weighed as in DPO + NLL."""
        ids, attention, mask = (
            inputs[name].chunk(2)[0]  # (micro_batch, tokens)
            for name in ("input_ids", "attention_mask", "completion_mask")
        )
        labels = ids.masked_fill(mask == 0, -100)
        outputs = model(input_ids=ids, attention_mask=attention, labels=labels, use_cache=False, fused_lm_head=True)
        chosen_logps = outputs.log_probs.sum(dim=1)  # (micro_batch,)  nats
        chosen_lengths = mask[:, 1:].sum(dim=1)  # (micro_batch,)  tokens
        rounds = self.advance(inputs)
        loss = rounds.weight * nll(
            chosen_logps,
            chosen_lengths,
            per=self._spec.nll_per,
            part_of=rounds.whole,
            pair_weights=inputs.get(WEIGHT),
        )
        self._log(nll=loss.detach())
        return loss
