"""A run in TRL's words: what is refused, what each setting is, and what the first step must show."""

from __future__ import annotations

import math
import os
from pathlib import Path

import torch
from trl import DPOConfig

from lidr.errors import TrainError
from lidr.train.training_spec import TrainSpec

# Largest distance of the first DPO term from ln 2, nats, at beta = 0.1, where it is h / 20. A wrong reference puts h
# tens of nats away. In half precision the two passes round differently, since their batches are padded to other
# lengths, and sums over hundreds of tokens gather a nat or so of that.
_LN2_TOLERANCE = {"float32": 1e-4, "bfloat16": 0.1, "float16": 0.1}


def dpo_config(spec: TrainSpec, folder: Path) -> DPOConfig:
    """Every setting of TRL that matters, said out loud; where TRL's default is another one, the comment names it."""
    return DPOConfig(
        output_dir=str(folder),
        # the loss; the NLL term is ours, so that all three kinds of `nll_per` take one way
        loss_type=["sigmoid"],
        beta=spec.beta,
        router_aux_loss_coef=0.0,  # TRL adds the config's own to the loss of a mixture of experts
        disable_dropout=not (spec.lora and spec.lora.dropout),  # True silences the adapter's dropout too
        precompute_ref_log_probs=True,  # False: a second model, or a second pass, in every step
        # the optimiser
        optim="adamw_torch",
        learning_rate=spec.learning_rate,  # 1e-6
        num_train_epochs=spec.epochs,  # 3
        warmup_steps=spec.warmup_ratio,  # below 1 it is a share of all steps
        lr_scheduler_type=spec.lr_scheduler,
        max_grad_norm=spec.max_grad_norm,
        weight_decay=spec.weight_decay,
        per_device_train_batch_size=spec.micro_batch,  # 8
        gradient_accumulation_steps=spec.batch // (spec.micro_batch * int(os.environ.get("WORLD_SIZE", "1"))),
        max_length=spec.max_length,  # 1024; longer pairs are gone already, so TRL never cuts
        seed=spec.seed,
        data_seed=spec.seed,
        # where and how
        use_cpu=not torch.accelerator.is_available(),
        bf16=spec.dtype == "bfloat16",  # True
        fp16=spec.dtype == "float16",
        gradient_checkpointing=spec.gradient_checkpointing,  # True
        model_init_kwargs={"dtype": weights_dtype(spec)},
        trust_remote_code=spec.trust_remote_code,
        dataloader_pin_memory=torch.cuda.is_available(),
        # what is kept and said
        save_strategy="steps" if spec.save_steps else "no",
        save_steps=spec.save_steps or 500,
        save_total_limit=2,  # none; the newest may be half-written when a run is cut off
        logging_strategy="steps",
        logging_steps=1,  # 10
        logging_nan_inf_filter=False,  # True replaces a loss that is not a number by the average so far
        report_to=list(spec.report_to) or "none",
        disable_tqdm=True,
        push_to_hub=False,
    )


def check(spec: TrainSpec) -> None:
    """Refuse a spec that cannot be carried out.

    Raises:
        TrainError: says what was found, what is allowed and what to do.
    """
    if spec.reference == "adapter_off" and spec.lora is None:
        raise TrainError("reference: adapter_off needs an adapter; add lora, or say reference: previous or initial")
    parts = spec.micro_batch * int(os.environ.get("WORLD_SIZE", "1"))
    if spec.batch % parts:
        raise TrainError(
            f"batch: {spec.batch} is not a multiple of micro_batch times processes ({parts}), so no number of "
            "micro-batches makes one optimiser step: change batch, or runtime.micro_batch"
        )
    if not 0 <= spec.warmup_ratio < 1:
        raise TrainError(f"warmup_ratio: {spec.warmup_ratio} is not a share of the steps; it must be in [0, 1)")
    if spec.dtype == "float16" and not torch.cuda.is_available():
        raise TrainError("dtype: float16 trains on a CUDA device only, and none is here; say float32 or bfloat16")


def reference_folder(spec: TrainSpec) -> str:
    """The folder whose weights give the reference log-probabilities."""
    return spec.initial if spec.reference == "initial" else spec.policy


def starts_at_reference(spec: TrainSpec) -> bool:
    """Tell whether policy and reference are the same weights before the first step."""
    return Path(reference_folder(spec)).resolve() == Path(spec.policy).resolve()


def check_ln2(dpo: float, spec: TrainSpec) -> None:
    """Prove at the first step that the reference is the right model: there DPO is -log sigmoid(0) = ln 2 exactly.

    Raises:
        TrainError: it is not, so the reference log-probabilities are of other weights or other tokens.
    """
    tolerance = _LN2_TOLERANCE[spec.dtype] * max(1.0, spec.beta / 0.1)
    if abs(dpo - math.log(2)) > tolerance:
        raise TrainError(
            f"step 1: policy and reference are the same weights ({reference_folder(spec)}), so the DPO term must be "
            f"ln 2 = {math.log(2):.6f}, within {tolerance:g}; it is {dpo:.6f}. The kept reference log-probabilities "
            f"may be of another model: remove the work folder {spec.work} and run again"
        )


def weights_dtype(spec: TrainSpec) -> str:
    """Trained weights are held in float32 (see TrainSpec.dtype); under LoRA the frozen ones are not trained."""
    return spec.dtype if spec.lora else "float32"
