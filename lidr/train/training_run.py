"""One training run, in this process: pairs and a policy in, a policy and what happened out.

Call lidr.train.train_process.train instead, unless you want the models in your own process.
"""

from __future__ import annotations

import importlib.metadata
import math
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from transformers import AutoTokenizer, TrainerCallback

from lidr.errors import TrainError
from lidr.train.adapters import save_adapter, save_policy
from lidr.train.checkpoints import last_checkpoint, run_folder
from lidr.train.dpo import PairTrainer
from lidr.train.loss import margin
from lidr.train.sft import ChosenTrainer
from lidr.train.tokens import TokenPair, read_pairs, tokenise
from lidr.train.train_process import PACKAGES
from lidr.train.trained_side import with_sides
from lidr.train.training_spec import DroppedPair, GroupMetrics, Method, StepMetrics, TrainResult, TrainSpec
from lidr.train.trl_settings import check, reference_folder

OnStep = Callable[[StepMetrics, int], None]

TRAINERS: Mapping[Method, type[PairTrainer]] = {"dpo_nll": PairTrainer, "sft": ChosenTrainer}


def run(spec: TrainSpec, on_step: OnStep) -> TrainResult:
    """Train, measure, save. Goes on from the last checkpoint of an interrupted run of the same spec.

    Args:
        spec: the run.
        on_step: is told of each optimiser step, and of how many there will be.

    Raises:
        TrainError: the spec cannot be carried out, no pair is left, or the numbers stopped making sense.
        RowError: the pairs table is not one.
    """
    started = time.monotonic()
    check(spec)
    if spec.threads:
        torch.set_num_threads(spec.threads)
    tokenizer = AutoTokenizer.from_pretrained(spec.policy, trust_remote_code=spec.trust_remote_code)
    pairs, dropped = token_pairs(spec, tokenizer)
    folder = run_folder(spec, pairs)
    trainer = TRAINERS[spec.method](spec, pairs, tokenizer, folder, [_Reporter(on_step)])
    parameters = [(p.numel(), p.requires_grad) for p in trainer.model.parameters()]
    checkpoint = last_checkpoint(folder)
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    is_compared = spec.method != "sft"
    groups = measure_groups(trainer, pairs) if is_compared else ()
    _save(trainer, spec)
    return TrainResult(
        pairs_trained=len(pairs),
        dropped=dropped,
        steps=tuple(_step(entry, entry["step"]) for entry in trainer.state.log_history if "nll" in entry),
        groups=groups,
        trained_parameters=sum(size for size, is_trained in parameters if is_trained),
        total_parameters=sum(size for size, _ in parameters),
        elapsed_s=time.monotonic() - started,
        reference_folder=reference_folder(spec) if is_compared else "",
        versions={name: importlib.metadata.version(name) for name in PACKAGES},
    )


def token_pairs(spec: TrainSpec, tokenizer: Any) -> tuple[list[TokenPair], tuple[DroppedPair, ...]]:
    """Read the pairs of a run with the sides that it trains, as token ids; and those that it cannot use."""
    rows = with_sides(read_pairs(spec.pairs), spec.sides, seed=spec.seed)
    return tokenise(
        rows,
        tokenizer,
        max_length=spec.max_length,
        over_long=spec.over_long,
        method=spec.method,
        double_bos=spec.double_bos,
    )


def measure_groups(trainer: PairTrainer, pairs: Sequence[TokenPair]) -> tuple[GroupMetrics, ...]:
    """Measure the policy as it stands on the pairs it was trained on, by (language, kind).

    Raises:
        TrainError: a log-probability is not finite, so the weights are broken.
    """
    margins: dict[tuple[str, str], list[float]] = defaultdict(list)
    for pair, value in zip(pairs, _margins(trainer), strict=True):
        if not math.isfinite(value):
            raise TrainError(
                f"after training, the margin of pair {pair.pair_id} is {value}: the weights are broken and not saved. "
                "Lower learning_rate, or train in float32 or bfloat16"
            )
        margins[pair.language, pair.kind].append(value)
    return tuple(
        GroupMetrics(
            language=language,
            kind=kind,
            pairs=len(values),
            margin=sum(values) / len(values),
            accuracy=sum(value > 0 for value in values) / len(values),
        )
        for (language, kind), values in sorted(margins.items())
    )


def _margins(trainer: PairTrainer) -> list[float]:
    """The implicit reward margin of each pair, nats, in the order of the dataset."""
    trainer.model.eval()
    loader = torch.utils.data.DataLoader(
        trainer.train_dataset, batch_size=trainer.args.per_device_train_batch_size, collate_fn=trainer.data_collator
    )
    values: list[float] = []
    for batch in loader:
        inputs = {name: tensor.to(trainer.accelerator.device) for name, tensor in batch.items()}
        chosen, rejected = trainer.completion_logps(inputs).chunk(2)
        reference_chosen, reference_rejected = inputs["ref_chosen_logps"], inputs["ref_rejected_logps"]
        values += margin(chosen, rejected, reference_chosen, reference_rejected, beta=trainer.beta).tolist()
    return values


def _save(trainer: PairTrainer, spec: TrainSpec) -> None:
    model: Any = trainer.accelerator.unwrap_model(trainer.model)
    if isinstance(model, PeftModel):
        save_adapter(model, Path(spec.adapter_out), policy_name=spec.policy_name)
    save_policy(model, spec)


class _Reporter(TrainerCallback):  # type: ignore[misc]  # transformers is not followed by mypy
    """Passes each optimiser step on."""

    def __init__(self, on_step: OnStep) -> None:
        self._on_step = on_step

    def on_log(self, args: Any, state: Any, control: Any, logs: Mapping[str, float], **_: Any) -> None:
        if "nll" in logs:  # the last log of a run is a summary without it
            self._on_step(_step(logs, state.global_step), state.max_steps)


def _step(logs: Mapping[str, float], step: int) -> StepMetrics:
    """Translate TRL's names into ours."""
    return StepMetrics(
        step=step,
        loss=logs["loss"],
        dpo=logs.get("dpo"),
        nll=logs["nll"],
        margin=logs.get("rewards/margins"),
        accuracy=logs.get("rewards/accuracies"),
        learning_rate=logs["learning_rate"],
    )
