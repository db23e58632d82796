"""A run in TRL's words: what is refused, what each setting is, and what the first step must show."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from trl import DPOConfig

from lidr.errors import TrainError
from lidr.train.loss import pair_loss
from lidr.train.training_spec import KEPT_CHECKPOINTS, TrainSpec
from lidr.train.trl_options import CHANGES_TERM, MOVES_FIRST, check_options

# Largest distance of the first DPO term from ln 2, nats, at beta = 0.1, where it is h / 20. A wrong reference puts h
# tens of nats away. In half precision the two passes round differently, since their batches are padded to other
# lengths, and sums over hundreds of tokens gather a nat or so of that.
_FIRST_TOLERANCE = {"float32": 1e-4, "bfloat16": 0.1, "float16": 0.1}


def dpo_config(spec: TrainSpec, folder: Path) -> DPOConfig:
    """TRL's settings for a run: lidr's own, and over them what the recipe's `train.trl` says.

    Raises:
        TrainError: TRL refuses one.
    """
    settings = {**_own_settings(spec, folder), **spec.trl}
    try:
        return DPOConfig(**settings)
    except (TypeError, ValueError, ImportError, RuntimeError) as error:
        if not spec.trl:
            raise
        raise TrainError(f"train.trl: {', '.join(spec.trl)}: TRL does not take it: {error}") from error


def _own_settings(spec: TrainSpec, folder: Path) -> dict[str, Any]:
    """Every setting of TRL that matters, said out loud; where TRL's default is another one, the comment names it."""
    return {
        "output_dir": str(folder),
        # the loss; the NLL term is ours, so that all three kinds of `nll_per` take one way
        "loss_type": [spec.loss],
        "label_smoothing": spec.label_smoothing,
        "beta": spec.beta,
        "router_aux_loss_coef": 0.0,  # TRL adds the config's own to the loss of a mixture of experts
        "disable_dropout": not (spec.lora and spec.lora.dropout),  # True silences the adapter's dropout too
        "precompute_ref_log_probs": True,  # False: a second model, or a second pass, in every step
        # the optimiser
        "optim": "adamw_torch",
        "learning_rate": spec.learning_rate,  # 1e-6
        "num_train_epochs": spec.epochs,  # 3
        "warmup_steps": spec.warmup_ratio,  # below 1 it is a share of all steps
        "lr_scheduler_type": spec.lr_scheduler,
        "max_grad_norm": spec.max_grad_norm,
        "weight_decay": spec.weight_decay,
        "per_device_train_batch_size": spec.micro_batch,  # 8
        "per_device_eval_batch_size": spec.micro_batch,  # 8
        "gradient_accumulation_steps": spec.batch // (spec.micro_batch * int(os.environ.get("WORLD_SIZE", "1"))),
        "max_length": spec.max_length,  # 1024; longer pairs are gone already, so TRL never cuts
        "seed": spec.seed,
        "data_seed": spec.seed,
        # where and how
        "use_cpu": not torch.accelerator.is_available(),
        "bf16": spec.dtype == "bfloat16",  # True
        "fp16": spec.dtype == "float16",
        "gradient_checkpointing": spec.gradient_checkpointing,  # True
        "trust_remote_code": spec.trust_remote_code,
        "dataloader_pin_memory": torch.cuda.is_available(),
        # what is kept and said
        "save_strategy": "steps" if spec.save_steps else "no",
        "save_steps": spec.save_steps or 500,
        "save_total_limit": KEPT_CHECKPOINTS,  # none
        "logging_strategy": "steps",
        "logging_steps": 1,  # 10
        "logging_nan_inf_filter": False,  # True replaces a loss that is not a number by the average so far
        "report_to": list(spec.report_to) or "none",
        "disable_tqdm": True,
        "push_to_hub": False,
    }


def check(spec: TrainSpec) -> None:
    """Refuse a spec that cannot be carried out.

    Raises:
        TrainError: says what was found, what is allowed and what to do.
    """
    try:
        check_options(spec.trl, is_compared=spec.method != "sft", is_held_out=spec.held_out is not None)
    except ValueError as error:
        raise TrainError(f"train.{error}") from None
    if spec.reference == "adapter_off" and spec.lora is None:
        raise TrainError("reference: adapter_off needs an adapter; add lora, or say reference: previous or initial")
    parts = spec.micro_batch * int(os.environ.get("WORLD_SIZE", "1"))
    if spec.batch % parts:
        raise TrainError(
            f"batch: {spec.batch} is not a multiple of micro_batch times processes ({parts}), so no number of "
            "micro-batches makes one optimiser step: change batch, or runtime.micro_batch"
        )
    if not 0 <= spec.label_smoothing < 0.5 or (spec.label_smoothing > 0) != (spec.loss == "robust"):
        raise TrainError(
            f"label_smoothing: {spec.label_smoothing} with loss: {spec.loss}; the loss robust needs a share of flipped "
            "pairs above 0 and below 0.5, and the others take none"
        )
    if not 0 <= spec.warmup_ratio < 1:
        raise TrainError(f"warmup_ratio: {spec.warmup_ratio} is not a share of the steps; it must be in [0, 1)")
    if spec.held_out and int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise TrainError("held_out: several processes keep no pairs aside; take held_out out, or train in one process")
    if spec.dtype == "float16" and not torch.cuda.is_available():
        raise TrainError("dtype: float16 trains on a CUDA device only, and none is here; say float32 or bfloat16")


def check_weighable(spec: TrainSpec) -> None:
    """Refuse what weights of pairs cannot stand beside.

    Raises:
        TrainError: a setting of `train.trl` makes the term of a pair another one than lidr's.
    """
    if changing := sorted(CHANGES_TERM & {*spec.trl}):
        raise TrainError(
            f"train.trl.{changing[0]}: it changes what each pair's term is, and the pairs have weights, which lidr can "
            "put to its own terms alone; take it out, or train pairs without the column weight"
        )


def reference_folder(spec: TrainSpec) -> str:
    """The folder whose weights give the reference log-probabilities."""
    return spec.initial if spec.reference == "initial" else spec.policy


def starts_at_reference(spec: TrainSpec) -> bool:
    """Tell whether policy and reference are the same weights before the first step."""
    return Path(reference_folder(spec)).resolve() == Path(spec.policy).resolve()


def check_first(term: float, spec: TrainSpec) -> None:
    """Prove at the first step that the reference is the right model: there h is 0, and DPO -log sigmoid(0) = ln 2.

    Raises:
        TrainError: it is not, so the reference log-probabilities are of other weights or other tokens.
    """
    if MOVES_FIRST & {*spec.trl}:
        return
    same, length = torch.zeros(1), torch.ones(1)
    smoothing = spec.label_smoothing
    wanted = pair_loss(
        spec.loss, same, same, same, same, length, length, beta=spec.beta, label_smoothing=smoothing
    ).item()
    tolerance = _FIRST_TOLERANCE[spec.dtype] * max(1.0, spec.beta / 0.1, wanted)
    if abs(term - wanted) > tolerance:
        name = "ln 2" if spec.loss in ("sigmoid", "robust", "sigmoid_norm") else f"that of {spec.loss} at 0"
        raise TrainError(
            f"step 1: policy and reference are the same weights ({reference_folder(spec)}), so the DPO term must be "
            f"{name} = {wanted:.6f}, within {tolerance:g}; it is {term:.6f}. The kept reference log-probabilities "
            f"may be of another model: remove the work folder {spec.work} and run again"
        )


def weights_dtype(spec: TrainSpec) -> str:
    """Trained weights are held in float32 (see TrainSpec.dtype); under LoRA the frozen ones are not trained."""
    return spec.dtype if spec.lora else "float32"
