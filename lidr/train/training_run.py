"""One training run, in this process: pairs and a policy in, a policy and what happened out.

Call lidr.train.train_process.train instead, unless you want the models in your own process.
"""

from __future__ import annotations

import importlib.metadata
import math
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from accelerate.utils import broadcast_object_list
from peft import PeftModel
from transformers import AutoTokenizer, TrainerCallback

from lidr.errors import TrainError
from lidr.train.adapted_parts import parts_of
from lidr.train.adapters import save_adapter, save_policy
from lidr.train.aside import Looks, prompts_aside
from lidr.train.checkpoints import last_checkpoint, run_folder, seal
from lidr.train.dpo import PairTrainer
from lidr.train.loss import margin
from lidr.train.sft import ChosenTrainer
from lidr.train.together import is_in_parts, put_together
from lidr.train.token_table import TokenTable
from lidr.train.tokens import TokenPair, check_kept, read_pairs, tokenised
from lidr.train.train_process import PACKAGES
from lidr.train.trained_side import with_sides
from lidr.train.training_spec import (
    DroppedPair,
    GroupMetrics,
    Method,
    SavedPolicy,
    StepMetrics,
    TrainResult,
    TrainSpec,
)
from lidr.train.trl_settings import check, reference_folder

OnStep = Callable[[StepMetrics, int], None]

_PROBES, _PROBE_TOKENS = 3, 64  # whose logits the saved policy is compared by

TRAINERS: Mapping[Method, type[PairTrainer]] = {"dpo_nll": PairTrainer, "sft": ChosenTrainer}


def run(spec: TrainSpec, on_step: OnStep, say: Callable[[str], None] = print) -> TrainResult:
    """Train, measure, save. Goes on from the last checkpoint of an interrupted run of the same spec.

    Under torchrun each process calls this, and the first one alone writes.

    Args:
        spec: the run.
        on_step: is told of each optimiser step, and of how many there will be.
        say: is told of checkpoints that are not gone on from, and why.

    Raises:
        TrainError: the spec cannot be carried out, no pair is left, or the numbers stopped making sense.
        RowError: the pairs table is not one.
    """
    started = time.monotonic()
    check(spec)
    if spec.threads:
        torch.set_num_threads(spec.threads)
    tokenizer = AutoTokenizer.from_pretrained(spec.policy, trust_remote_code=spec.trust_remote_code)
    aside = prompts_aside(spec.pairs, spec.held_out, seed=spec.seed) if spec.held_out else frozenset()
    pairs, held_out, dropped = _split(spec, tokenizer, aside)
    folder = run_folder(spec, chain(pairs, held_out or ()))
    trainer = TRAINERS[spec.method](spec, pairs, tokenizer, folder, [_Reporter(on_step)], held_out)
    looks = Looks(trainer, spec, held_out, folder, say) if held_out else None
    for callback in (looks, _Sealer()):
        if callback:
            trainer.add_callback(callback)
    parameters = [(p.numel(), p.requires_grad) for p in trainer.model.parameters()]
    checkpoint = _agreed_checkpoint(trainer, folder, say)
    if looks and checkpoint:
        looks.go_on_from(checkpoint)
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    seen = looks.finish(prompts=len(aside)) if looks else None
    is_compared = spec.method != "sft"
    groups = measure_groups(trainer, pairs) if is_compared else ()
    # Without what autocasts to half precision, which the saved policy will not have.
    model: Any = trainer.accelerator.unwrap_model(trainer.model, keep_fp32_wrapper=False)
    if is_in_parts(model):
        first, trusted = trainer.is_world_process_zero(), spec.trust_remote_code
        model = put_together(model, spec.policy, is_first=first, dtype=spec.dtype, trust_remote_code=trusted)
    parts = parts_of(model) if isinstance(model, PeftModel) else None
    probes = [pair.prompt_ids[:_PROBE_TOKENS] for pair in pairs[:_PROBES]]
    saved = _save(model, spec, probes) if trainer.is_world_process_zero() else SavedPolicy(0, None, None)
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
        saved=saved,
        parts=parts,
        held_out=seen,
    )


def _split(
    spec: TrainSpec, tokenizer: Any, aside: frozenset[str]
) -> tuple[TokenTable, TokenTable | None, tuple[DroppedPair, ...]]:
    """The pairs that are trained, those of the prompts `aside`, and all that cannot be used."""
    if not aside:
        pairs, dropped = token_pairs(spec, tokenizer)
        return pairs, None, dropped
    pairs, dropped = token_pairs(spec, tokenizer, lambda prompt: prompt not in aside)
    held_out, more = token_pairs(spec, tokenizer, aside.__contains__, "keep aside (train.held_out)")
    return pairs, held_out, dropped + more


def token_pairs(
    spec: TrainSpec, tokenizer: Any, of: Callable[[str], bool] | None = None, use: str = "train on"
) -> tuple[TokenTable, tuple[DroppedPair, ...]]:
    """Read the pairs of a run with the sides that it trains, as token ids in a file; and those that it cannot use.

    Args:
        spec: the run.
        tokenizer: the policy's.
        of: see `lidr.train.tokens.read_pairs`.
        use: what the pairs are for, for messages.
    """
    dropped: list[DroppedPair] = []
    pairs = tokenised(
        with_sides(read_pairs(spec.pairs, of), spec.sides, seed=spec.seed),
        tokenizer,
        dropped,
        max_length=spec.max_length,
        method=spec.method,
        double_bos=spec.double_bos,
        form=spec.form,
    )
    table = TokenTable.written(Path(spec.work) / "tokens", pairs)
    check_kept(len(table), dropped, spec.over_long, use)
    return table, tuple(dropped)


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
    """The implicit reward margin of each pair, nats, in the order of the dataset; processes share the pairs."""
    trainer.model.eval()
    values: list[float] = []
    for inputs in trainer.in_order(trainer.train_dataset, trainer.args.per_device_train_batch_size):
        chosen, rejected = trainer.completion_logps(inputs).chunk(2)
        reference_chosen, reference_rejected = inputs["ref_chosen_logps"], inputs["ref_rejected_logps"]
        found = margin(chosen, rejected, reference_chosen, reference_rejected, beta=trainer.beta)
        values += trainer.accelerator.gather_for_metrics(found).tolist()
    return values


def _agreed_checkpoint(trainer: PairTrainer, folder: Path, say: Callable[[str], None]) -> Path | None:
    """The checkpoint to go on from, as the first process finds it."""
    found = [last_checkpoint(folder, say) if trainer.is_world_process_zero() else None]
    checkpoint: Path | None = broadcast_object_list(found)[0]
    return checkpoint


def _save(model: Any, spec: TrainSpec, prompts: Sequence[Sequence[int]]) -> SavedPolicy:
    if isinstance(model, PeftModel):
        save_adapter(model, Path(spec.adapter_out), policy_name=spec.policy_name)
    return save_policy(model, spec, prompts)


class _Reporter(TrainerCallback):  # type: ignore[misc]  # transformers is not followed by mypy
    """Passes each optimiser step on."""

    def __init__(self, on_step: OnStep) -> None:
        self._on_step = on_step

    def on_log(self, args: Any, state: Any, control: Any, logs: Mapping[str, float], **_: Any) -> None:
        if "nll" in logs:  # the last log of a run is a summary without it
            self._on_step(_step(logs, state.global_step), state.max_steps)


class _Sealer(TrainerCallback):  # type: ignore[misc]  # transformers is not followed by mypy
    """Writes the manifest of each checkpoint when it is complete."""

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        PartialState().wait_for_everyone()  # each process writes its random state
        if state.is_world_process_zero:
            seal(Path(args.output_dir) / f"checkpoint-{state.global_step}")


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
