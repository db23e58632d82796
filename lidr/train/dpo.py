"""Our loss inside TRL 1.16: one subclass of its DPOTrainer, and the settings that it runs with.

TRL gives the loop, the fused log-probabilities, the DPO term and the reference pass; lidr gives the NLL term
(lidr.train.loss), the tokens (lidr.train.tokens) and the settings (trl_settings). What lidr leans on is named
here, because the next TRL may move it: `_compute_loss`, `_prepare_dataset`, `_precompute_ref_logps`, `hash_module`,
`compute_ref_log_probs`, `get_batch_samples`, `_metrics`, and the forward's `fused_lm_head` and `.log_probs`.

Whose log-probabilities q are the reference, and how TRL is made to take them (design notes, measured):

    initial      those of spec.initial, loaded as `ref_model` for one pass over the pairs, then let go
    previous     those of spec.policy: the model that will be trained, before its first step (LoRA: adapter off)
    adapter_off  those of the trained model with its adapter off; the same weights as previous, LoRA only

All are computed before the first step and kept on disk, so training holds one model and a resumed run the same numbers.
TRL gives the term of a micro-batch as a mean alone; where pairs have weights, each one's is that of lidr.train.loss.

lidr loads the models, not TRL, which would take another class than everybody who later loads the policy (lidr.weights);
with the reference computed beforehand TRL loads none of its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import TrainerCallback, set_seed
from trl import DPOConfig

from lidr.errors import TrainError
from lidr.rows import WEIGHT
from lidr.train.adapters import lora_config
from lidr.train.checkpoints import read_reference, write_reference
from lidr.train.loss import OptimiserBatch, margin, mean_over, nll, pair_loss
from lidr.train.together import SharedTrainer, gathering, is_in_parts, load_in_parts, take_apart
from lidr.train.token_table import TokenTable
from lidr.train.tokens import TokenPair
from lidr.train.training_spec import NllPer, TrainSpec
from lidr.train.trl_settings import (
    check,
    check_first,
    check_weighable,
    dpo_config,
    reference_folder,
    starts_at_reference,
    weights_dtype,
)
from lidr.weights import load_policy


class PairTrainer(SharedTrainer):
    """TRL's DPOTrainer with the NLL term of lidr.train.loss, over pairs that are already tokenised.

    Logs, each step: `dpo`, `nll` (nats), and TRL's own metrics, among them `rewards/margins`, `rewards/accuracies`.
    """

    data_collator: Any
    _signature_columns: Any

    def __init__(
        self,
        spec: TrainSpec,
        pairs: Sequence[TokenPair],
        tokenizer: Any,
        folder: Path,
        callbacks: list[TrainerCallback],
        held_out: TokenTable | None = None,
    ) -> None:
        """Load the policy and compute the reference log-probabilities, or read them from `folder`.

        Args:
            spec: the run.
            pairs: what to train on.
            tokenizer: the policy's.
            folder: keeps the checkpoints and reference.json.
            callbacks: see the progress of the run.
            held_out: pairs that are not trained on.
        """
        check(spec)
        self._spec = spec
        self._folder = folder
        table = pairs if isinstance(pairs, TokenTable) else TokenTable.written(folder, pairs)
        self._is_weighing = any(one is not None and one.weights is not None for one in (table, held_out))
        if self._is_weighing:
            check_weighable(spec)
        args = dpo_config(spec, folder)
        model = loaded(spec.policy, spec, args)
        super().__init__(
            model=model,
            ref_model=self._reference_model(args) if self._lacks_reference(held_out) else None,
            args=args,
            train_dataset=self._dataset(table),
            eval_dataset=None if held_out is None else self._dataset(held_out),
            processing_class=tokenizer,
            callbacks=callbacks,
            peft_config=lora_config(spec.lora, model) if spec.lora else None,
        )
        if spec.quantization:
            _trained_in_float32(self.model)
        if self._is_weighing:
            self.data_collator = _WithWeights(self.data_collator)
        self.ref_model = None  # its log-probabilities are in the dataset now
        if spec.lora and spec.lora.dropout:
            _disable_base_dropout(self.model)

    REJECTED = "rejected_ids"
    """The column with a pair's second side."""

    def _dataset(self, table: TokenTable) -> Dataset:
        """The pairs as TRL takes them, mapped from a file."""
        return table.dataset(prompt_ids="prompt_ids", chosen_ids="chosen_ids", rejected_ids=self.REJECTED)

    def _reference_file(self, name: str) -> Path:
        """Of TRL's name for a set of pairs: train, or eval for those that are kept aside."""
        return self._folder / ("reference.json" if name == "train" else f"reference-{name}.json")

    def _lacks_reference(self, held_out: TokenTable | None) -> bool:
        names = ("train",) if held_out is None else ("train", "eval")
        return any(read_reference(self._reference_file(name)) is None for name in names)

    def _reference_model(self, args: DPOConfig) -> Any:
        """Load the reference model where it is other weights than the policy's; else TRL takes the policy itself."""
        return None if starts_at_reference(self._spec) else loaded(reference_folder(self._spec), self._spec, args)

    def completion_logps(self, inputs: dict[str, Any]) -> torch.Tensor:
        """Log-probabilities of the completions under the policy as it stands: (2 * batch,) nats, chosen first."""
        labels = inputs["input_ids"].masked_fill(inputs["completion_mask"] == 0, -100)
        ids = {name: inputs[name] for name in ("input_ids", "attention_mask")}
        with torch.no_grad(), self.accelerator.autocast():
            outputs = self.model(**ids, labels=labels, use_cache=False, fused_lm_head=True)
        log_probs: torch.Tensor = outputs.log_probs  # (2 * batch, tokens - 1)  nats, 0 outside completions
        if self.ld_alpha is not None:  # as TRL weighs the reference's
            log_probs = log_probs * _tail_weights(inputs["completion_mask"][:, 1:], self.ld_alpha)
        return log_probs.sum(dim=1)

    def loss_of(self, inputs: dict[str, Any], whole: OptimiserBatch) -> tuple[torch.Tensor, torch.Tensor | None]:
        """The loss under the policy as it stands, of pairs that are not trained on.

        Args:
            inputs: a collated batch of pairs.
            whole: the pairs that the loss is a mean over, of which these are some; one part.

        Returns:
            (), this batch's part of the loss, nats; (batch,), implicit reward margins, nats, where sides are compared.
        """
        logps = self.completion_logps(inputs).chunk(2)  # chosen, rejected: (batch,)  nats
        lengths = inputs["completion_mask"][:, 1:].sum(dim=1).chunk(2)  # (batch,)  tokens
        dpo_part = mean_over(self._each(logps, lengths, inputs), whole, inputs.get(WEIGHT))
        reference_chosen, reference_rejected = inputs["ref_chosen_logps"], inputs["ref_rejected_logps"]
        found = margin(logps[0], logps[1], reference_chosen, reference_rejected, beta=self._spec.beta)
        return dpo_part + self._spec.nll_weight * self._nll_part(logps[0], lengths[0], inputs, whole), found

    def _nll_part(
        self, logps: torch.Tensor, lengths: torch.Tensor, inputs: dict[str, Any], whole: OptimiserBatch
    ) -> torch.Tensor:
        """Of pairs that are not trained on; as if all of them were one micro-batch."""
        per: NllPer = "sequence" if self._spec.nll_per == "sequence" else "batch"
        return nll(logps, lengths, per=per, part_of=whole, pair_weights=inputs.get(WEIGHT))

    def _compute_loss(self, model: Any, inputs: dict[str, Any], return_outputs: bool) -> torch.Tensor:
        """TRL's DPO term plus our NLL term of one micro-batch; both as lidr.train.loss defines them."""
        kept: dict[str, Any] = {}

        def forward(**kwargs: Any) -> Any:
            kept["outputs"] = model(**kwargs)
            return kept["outputs"]

        rounds = self.advance(inputs)
        whole, part = rounds.whole, rounds.weight
        weights, inputs = inputs.get(WEIGHT), {name: value for name, value in inputs.items() if name != WEIGHT}
        with gathering(self.accelerator, rounds.own):
            dpo = super()._compute_loss(forward, inputs, return_outputs)  # mean over this micro-batch
        logps = kept["outputs"].log_probs.sum(dim=1).chunk(2)  # chosen, rejected: (micro_batch,)  nats
        lengths = inputs["completion_mask"][:, 1:].sum(dim=1).chunk(2)  # (micro_batch,)  tokens
        nll_term = part * nll(logps[0], lengths[0], per=self._spec.nll_per, part_of=whole, pair_weights=weights)
        if weights is None:  # the second factor is 1 unless the last micro-batch of the epoch is smaller
            dpo_term = part * (len(lengths[0]) * whole.parts / whole.pairs) * dpo
        else:
            dpo_term = part * mean_over(self._each(logps, lengths, inputs), whole, weights)
        loss: torch.Tensor = dpo_term + self._spec.nll_weight * nll_term
        self._note(dpo_term.detach(), nll_term.detach(), rounds.share, dpo.detach())
        return loss

    def _each(
        self, logps: Sequence[torch.Tensor], lengths: Sequence[torch.Tensor], inputs: dict[str, Any]
    ) -> torch.Tensor:
        """The term of each pair: (micro_batch,) nats."""
        return pair_loss(
            self._spec.loss,
            logps[0],
            logps[1],
            inputs["ref_chosen_logps"],
            inputs["ref_rejected_logps"],
            lengths[0],
            lengths[1],
            beta=self._spec.beta,
            label_smoothing=self._spec.label_smoothing,
        )

    def _set_signature_columns_if_needed(self) -> None:
        super()._set_signature_columns_if_needed()
        self._signature_columns = list(dict.fromkeys([*self._signature_columns, WEIGHT]))

    def _note(self, dpo: torch.Tensor, nll_term: torch.Tensor, share: float, plain: torch.Tensor) -> None:
        """Stop if the numbers cannot be right; else log them beside TRL's. `plain`: the mean term without weights."""
        metrics = self._metrics["train"]
        for name in ("rewards/margins", "rewards/accuracies"):
            metrics[name][-1] *= share
        terms = self._log(dpo=dpo, nll=nll_term)
        if self.state.global_step == 0 and starts_at_reference(self._spec):
            check_first(float(plain) if self._is_weighing else terms["dpo"] / share, self._spec)

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
        file = self._reference_file(name)
        with torch.random.fork_rng([]):  # a loader draws one, and training must draw the same where it is read back
            chosen, rejected = read_reference(file) or self._reference_logps(dataset, batch_size, file)
        if name == "train":
            torch.empty((), dtype=torch.int64).random_()  # what the loader drew: policies stay as they were
        return dataset.add_column("ref_chosen_logps", chosen).add_column("ref_rejected_logps", rejected)

    def _reference_logps(self, dataset: Dataset, batch_size: int, file: Path) -> tuple[list[float], list[float]]:
        """Run the reference over the pairs: TRL takes `ref_model`, or else the policy with its adapter off."""
        batches = [
            self.accelerator.gather_for_metrics(self.compute_ref_log_probs(self.ref_model or self.model, batch))
            for batch in self.in_order(dataset, batch_size)
        ]
        for model in (self.ref_model, self.model):
            if is_in_parts(model):
                take_apart(model)
        chosen, rejected = (torch.cat(side).tolist() for side in zip(*batches, strict=True))
        if self.accelerator.is_main_process:
            write_reference(file, chosen, rejected)
        return chosen, rejected

    def _send_telemetry(self) -> None:
        """TRL tells its makers of each run; a run of lidr is nobody else's business."""

    def create_model_card(self, *_: Any, **__: Any) -> None:
        """TRL writes a card beside each checkpoint; lidr writes its own from records."""


def loaded(folder: str, spec: TrainSpec, args: DPOConfig) -> Any:
    """Load a model of a run: on the accelerator where one process has it, else where the trainer puts it.

    The seed is set before, as TRL does it for the models that it loads: what a model lacks is drawn.
    """
    set_seed(spec.seed)
    state = args.distributed_state
    if spec.sharding == "fsdp":
        trusted = spec.trust_remote_code
        return load_in_parts(
            folder, state.num_processes, dtype=weights_dtype(spec), trust_remote_code=trusted, **_attention(spec)
        )
    is_alone = state.distributed_type not in ("MULTI_GPU", "DEEPSPEED") and state.device.type not in ("cpu", "mps")
    return load_policy(
        folder,
        dtype=weights_dtype(spec),
        trust_remote_code=spec.trust_remote_code,
        quantization=spec.quantization,
        device_map="auto" if is_alone else None,
        **_attention(spec),
    )


def _attention(spec: TrainSpec) -> dict[str, str]:
    return {"attn_implementation": spec.attn_implementation} if spec.attn_implementation else {}


class _WithWeights:
    """A collator of batches that keeps the weights of pairs, (batch,)."""

    def __init__(self, collate: Callable[[list[dict[str, Any]]], dict[str, Any]]) -> None:
        self._collate = collate

    def __call__(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
        weights = torch.tensor([example.get(WEIGHT, 1.0) for example in examples], dtype=torch.float32)
        return {**self._collate(examples), WEIGHT: weights}


def _trained_in_float32(model: torch.nn.Module) -> None:
    """Undo TRL's rounding of adapters over packed weights to bfloat16, in which small updates are lost."""
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()


def _tail_weights(mask: torch.Tensor, alpha: float) -> torch.Tensor:
    """Weights of LD-DPO: alpha for the tokens of a completion beyond the length of the shorter of its pair, else 1.

    Args:
        mask: (2 * batch, tokens)  1 at completion tokens, chosen first.
        alpha: `train.trl.ld_alpha`.

    Returns:
        (2 * batch, tokens)
    """
    lengths = mask.sum(dim=1)
    shared = torch.minimum(*lengths.chunk(2)).repeat(2)
    return torch.where(mask.cumsum(dim=1) > shared[:, None], alpha, 1.0)


def _disable_base_dropout(model: torch.nn.Module) -> None:
    """Keep LoRA's own dropout and no other; the reference log-probabilities were computed without any."""
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Dropout) and "lora_dropout" not in name:
            module.p = 0.0
