"""What a recipe may say in TRL's own words: `train.trl`, settings of its DPOConfig that no field of lidr has.

    train: {batch: 32, learning_rate: 5.0e-7, trl: {optim: adafactor, f_divergence_type: js_divergence}}

Each of DPOConfig's fields (TRL 1.16) stands in one of the tables below, so that a name is checked without importing TRL
and nobody has to guess what a new one does: a test compares them with the DPOConfig that is installed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from lidr.errors import SeveralErrors


def _words(text: str) -> frozenset[str]:
    """The words of a text: a table of names without commas and quotes."""
    return frozenset(text.split())


RESULT = _words(
    """
    activation_offloading adam_beta1 adam_beta2 adam_epsilon average_tokens_across_devices dataloader_drop_last
    deepspeed f_alpha_divergence_coef f_divergence_type full_determinism ld_alpha liger_kernel_config
    lr_scheduler_kwargs neftune_noise_alpha optim optim_args optim_target_modules pad_to_multiple_of
    router_aux_loss_coef tf32 torch_compile torch_compile_backend torch_compile_mode train_sampling_strategy
    use_liger_kernel use_weighting
    """
)
"""Passed on, and part of the identity: they can change the policy, some only in the last bit."""

EXECUTION = _words(
    """
    dataloader_in_order dataloader_multiprocessing_context dataloader_num_workers dataloader_persistent_workers
    dataloader_pin_memory dataloader_prefetch_factor ddp_backend ddp_broadcast_buffers ddp_bucket_cap_mb
    ddp_find_unused_parameters ddp_static_graph ddp_timeout debug gradient_checkpointing_kwargs
    include_num_input_tokens_seen log_level log_level_replica log_on_each_node precompute_ref_batch_size project
    run_name skip_memory_metrics torch_empty_cache_steps trackio_bucket_id trackio_space_id
    trackio_static_space_id
    """
)
"""Passed on, and no identity: the same numbers, elsewhere, faster or with more words."""

OWNED = {
    "beta": "train.beta",
    "bf16": "policy.dtype",
    "data_seed": "seed",
    "disable_dropout": "train.lora.dropout",
    "fp16": "policy.dtype",
    "gradient_accumulation_steps": "train.batch and runtime.micro_batch",
    "gradient_checkpointing": "runtime.gradient_checkpointing",
    "label_smoothing": "train.label_smoothing",
    "learning_rate": "train.learning_rate",
    "loss_type": "train.loss",
    "loss_weights": "train.nll.weight",
    "lr_scheduler_type": "train.lr_scheduler",
    "max_grad_norm": "train.max_grad_norm",
    "max_length": "train.max_length",
    "max_steps": "train.epochs",
    "model_init_kwargs": "policy.dtype and train.load.attn_implementation",
    "num_train_epochs": "train.epochs",
    "per_device_train_batch_size": "runtime.micro_batch",
    "precompute_ref_log_probs": "train.reference",
    "report_to": "runtime.report_to",
    "save_steps": "runtime.save_steps",
    "save_strategy": "runtime.save_steps",
    "seed": "seed",
    "trust_remote_code": "policy.trust_remote_code",
    "truncation_mode": "train.over_long",
    "warmup_steps": "train.warmup_ratio",
    "weight_decay": "train.weight_decay",
}
"""Another field of the recipe sets it."""

_SAVES = "lidr writes checkpoints so that a killed run goes on from them"
_SENDS = "lidr sends a policy by its publish step alone"
_ASIDE = "use train.held_out, which keeps pairs aside and ends training early"
_SHARDS = "lidr saves the policy from one process, which must hold all its weights"
_TOKENS = "lidr tokenises the pairs itself"
_SHOWS = "lidr logs every step"
_PLACE = "lidr chooses the folder and the device, and goes on from its own checkpoints"

NOT_OFFERED = {
    "accelerator_config": "it changes which pairs a batch is made of; use train.batch",
    "auto_find_batch_size": "the batch would differ from machine to machine; use runtime.micro_batch",
    "label_smoothing_factor": "it belongs to cross-entropy; use loss: robust with label_smoothing",
    "discopop_tau": "the loss discopop is not offered",
    "padding_free": "TRL refuses it in DPO",
    "pad_token": "TRL takes the tokenizer's own",
    "use_cache": "training keeps no keys and values",
    "parallelism_config": _SHARDS,
    **dict.fromkeys(("fsdp", "fsdp_config"), "use runtime.sharding"),
    **dict.fromkeys(
        ("sync_ref_model", "ref_model_mixup_alpha", "ref_model_sync_steps"), "the reference stays as it is"
    ),
    **dict.fromkeys(("bf16_full_eval", "fp16_full_eval", "eval_strategy", "eval_steps", "eval_delay"), _ASIDE),
    **dict.fromkeys(("per_device_eval_batch_size", "prediction_loss_only", "eval_on_start", "do_eval"), _ASIDE),
    **dict.fromkeys(("eval_do_concat_batches", "eval_use_gather_object", "eval_accumulation_steps"), _ASIDE),
    **dict.fromkeys(("include_for_metrics", "batch_eval_metrics", "load_best_model_at_end"), _ASIDE),
    **dict.fromkeys(("metric_for_best_model", "greater_is_better", "do_predict", "do_train"), _ASIDE),
    **dict.fromkeys(("save_only_model", "save_on_each_node", "enable_jit_checkpoint", "ignore_data_skip"), _SAVES),
    **dict.fromkeys(("restore_callback_states_from_checkpoint", "resume_from_checkpoint", "save_total_limit"), _SAVES),
    **dict.fromkeys(("push_to_hub", "hub_token", "hub_private_repo", "hub_model_id", "hub_strategy"), _SENDS),
    **dict.fromkeys(("hub_always_push", "hub_revision"), _SENDS),
    **dict.fromkeys(("remove_unused_columns", "label_names", "length_column_name", "dataset_num_proc"), _TOKENS),
    **dict.fromkeys(("logging_strategy", "logging_steps", "logging_first_step", "disable_tqdm"), _SHOWS),
    **dict.fromkeys(("logging_nan_inf_filter",), _SHOWS),
    **dict.fromkeys(("output_dir", "use_cpu", "local_rank"), _PLACE),
}
"""Not passed on, and why."""

COMPARES = frozenset({"f_alpha_divergence_coef", "f_divergence_type", "ld_alpha", "use_weighting"})
"""Of the term that compares two sides, which `sft` lacks."""

MOVES_FIRST = frozenset({"neftune_noise_alpha", "router_aux_loss_coef", "use_weighting"})
"""With these the first step's term is not that of two equal policies, so it proves nothing of the reference."""


CHANGES_TERM = frozenset(
    {"f_divergence_type", "f_alpha_divergence_coef", "ld_alpha", "use_weighting", "router_aux_loss_coef",
     "use_liger_kernel"}
)  # fmt: skip
"""With these the term of a pair is TRL's own, which TRL gives as a mean alone, in training: weights of pairs cannot
enter it, and it is not known for pairs that are kept aside."""


OPTIMISERS = _words(
    """
    adafactor adagrad adalomo adamw_8bit adamw_anyprecision adamw_bnb_8bit adamw_torch adamw_torch_4bit
    adamw_torch_8bit adamw_torch_fused adamw_torch_npu_fused adamw_torch_xla ademamix ademamix_8bit apollo_adamw
    apollo_adamw_layerwise galore_adafactor galore_adafactor_layerwise galore_adamw galore_adamw_8bit
    galore_adamw_8bit_layerwise galore_adamw_layerwise grokadamw lion_32bit lion_8bit lomo paged_ademamix_32bit
    paged_ademamix_8bit paged_adamw_32bit paged_adamw_8bit paged_lion_32bit paged_lion_8bit rmsprop rmsprop_bnb
    rmsprop_bnb_32bit rmsprop_bnb_8bit schedule_free_adamw schedule_free_radam schedule_free_sgd sgd stable_adamw
    """
)
"""What `optim` may name: transformers' OptimizerNames; a test compares them with those that are installed."""

IN_PARTS = ("adagrad", "adamw_torch", "adamw_torch_4bit", "adamw_torch_8bit", "adamw_torch_fused", "rmsprop", "sgd")
"""Optimisers that are taken where each process holds a part of every weight: torch's own, tried, and torchao's, not
tried here. Adafactor and those of bitsandbytes were seen to fail."""

_UNKNOWN_ASIDE = "with it the loss of pairs that are kept aside is not known; take it out, or held_out"


def check_options(options: Mapping[str, Any], *, is_compared: bool = True, is_held_out: bool = False) -> None:
    """Refuse what is not passed on to TRL.

    Args:
        options: `train.trl`.
        is_compared: whether chosen and rejected are compared; under `sft` they are not.
        is_held_out: whether pairs are kept aside.

    Raises:
        SeveralErrors: what was found, and what to do, of each setting.
    """
    wrong = [_wrong(name, options[name], is_compared=is_compared) for name in options]
    if is_held_out:
        wrong += [f"trl.{name}: {_UNKNOWN_ASIDE}" for name in sorted(CHANGES_TERM & {*options})]
    if said := [one for one in wrong if one is not None]:
        raise SeveralErrors(said)


def _wrong(name: str, value: Any, *, is_compared: bool) -> str | None:
    if name in OWNED:
        return f"trl.{name} is set by {OWNED[name]}; set it there"
    if name in NOT_OFFERED:
        return f"trl.{name} is not passed on: {NOT_OFFERED[name]}; take it out"
    if name not in RESULT | EXECUTION:
        return f"trl.{name}: TRL's DPOConfig has no such setting{_meant(name)}"
    if name in COMPARES and not is_compared:
        return f"trl.{name} compares two sides, and method: sft sees one; take it out"
    if name == "optim" and str(value) not in OPTIMISERS:
        return f"trl.optim: transformers has no optimiser {value!r}{_meant(str(value), sorted(OPTIMISERS))}"
    return _wrong_deepspeed(value) if name == "deepspeed" else None


def _wrong_deepspeed(config: Any) -> str | None:
    """Its settings stand in the recipe, so that they are recorded, and leave the weights whole."""
    if config is None:
        return None
    if not isinstance(config, Mapping):
        return "trl.deepspeed: write the settings themselves, not the name of a file, so that they are kept"
    zero = config.get("zero_optimization")
    if isinstance(zero, Mapping) and zero.get("stage") == 3:
        instead = "take stage 2 or lower, or runtime.sharding: fsdp"
        return f"trl.deepspeed: stage 3 splits the weights, and {_SHARDS}; {instead}"
    return None


_A_SCREEN = 60


def _meant(name: str, known: Sequence[str] = (*sorted(RESULT | EXECUTION), *OWNED)) -> str:
    if near := get_close_matches(name, known, n=3):
        return f"; did you mean {' or '.join(near)}?"
    return f"; it has {', '.join(known)}" if len(known) < _A_SCREEN else ": see its documentation for the names"


def result_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Those that can change the policy."""
    return {name: value for name, value in options.items() if name not in EXECUTION}
