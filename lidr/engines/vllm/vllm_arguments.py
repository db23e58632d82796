"""What a recipe may say in vLLM's own words: `runtime.vllm`, arguments of its engine that no field of lidr has.

    runtime: {engine: vllm, vllm: {max_num_seqs: 512, kv_cache_dtype: fp8}}

vLLM has some three hundred arguments and gets new ones each month, so names are checked against the vLLM that is
installed, read from its source without importing it. Those of `EXECUTION` change how fast an answer comes; every other
one counts as able to change texts, and is part of the identity.
"""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any

from lidr.errors import SeveralErrors


def _words(text: str) -> frozenset[str]:
    """The words of a text: a table of names without commas and quotes."""
    return frozenset(text.split())


EXECUTION = _words(
    """
    all2all_backend async_scheduling block_size cpu_offload_gb cpu_offload_params decode_context_parallel_size
    device_ids disable_custom_all_reduce disable_log_stats distributed_executor_backend
    distributed_timeout_seconds enable_chunked_prefill enable_eplb enable_expert_parallel enable_prefix_caching
    enforce_eager eplb_config expert_placement_strategy kv_cache_memory_bytes kv_offloading_backend
    kv_offloading_size language_model_only limit_mm_per_prompt load_format log_level master_addr master_port
    max_num_batched_tokens max_num_scheduled_tokens max_num_seqs max_parallel_loading_workers nnodes node_rank
    num_gpu_blocks_override numa_bind numa_bind_cpus numa_bind_nodes offload_backend offload_group_size
    offload_num_in_group offload_params offload_prefetch_step optimization_level performance_mode
    pipeline_parallel_size prefill_context_parallel_size safetensors_load_strategy
    safetensors_prefetch_block_size safetensors_prefetch_num_threads scheduling_policy shutdown_timeout
    skip_mm_profiling stream_interval use_tqdm_on_load
    """
)
"""Where and how fast; no identity, as little as the number of GPUs is."""

_COMMON = _words(
    """
    attention_backend attention_config compilation_config config_format disable_cascade_attn
    disable_sliding_window enable_flashinfer_autotune hf_overrides kv_cache_dtype kv_cache_dtype_skip_layers
    linear_backend mamba_cache_dtype mamba_ssm_cache_dtype model_impl moe_backend quantization
    quantization_config speculative_config tokenizer_mode
    """
)
"""The others that people set; known too where vLLM is not installed."""

_OF_OTHERS = _COMMON - {"compilation_config", "speculative_config"}

OWNED = {
    "model": "policy.model",
    "model_weights": "policy.model",
    "hf_config_path": "policy.model",
    "tokenizer": "policy.model",
    "revision": "policy.revision",
    "code_revision": "policy.revision",
    "tokenizer_revision": "policy.revision",
    "trust_remote_code": "policy.trust_remote_code, for a pinned revision",
    "dtype": "policy.dtype",
    "tensor_parallel_size": "runtime.tensor_parallel",
    "gpu_memory_utilization": "runtime.gpu_memory",
    "max_model_len": "runtime.max_model_len",
    "reasoning_config": "policy.reasoning",
    "seed": "seed of the recipe, from which every request has its own",
    "generation_config": "the step: temperature, top_p and the like",
    "override_generation_config": "the step: temperature, top_p and the like",
}
"""Another field of the recipe sets it."""

_CODE = "it names code to be run"
_READS = "it reads files or addresses that no recipe should name"
_SERVES = "it belongs to a server, and lidr starts none"
_LORA = "policy.adapter names an adapter, and policy.merge whether it is merged"
_ONE = "lidr runs one engine; start a server for more and use runtime.engine: openai"

NOT_OFFERED = {
    **dict.fromkeys(("worker_cls", "worker_extension_cls", "scheduler_cls", "logits_processors"), _CODE),
    **dict.fromkeys(("model_class_overrides", "io_processor_plugin", "reasoning_parser_plugin"), _CODE),
    **dict.fromkeys(("kv_transfer_config", "ec_transfer_config", "weight_transfer_config", "kv_events_config"), _CODE),
    **dict.fromkeys(("model_loader_extra_config", "download_dir", "hf_token", "log_config_file"), _READS),
    **dict.fromkeys(("allowed_local_media_path", "allowed_media_domains", "otlp_traces_endpoint"), _READS),
    **dict.fromkeys(("served_model_name", "enable_log_requests", "aggregate_engine_logging"), _SERVES),
    **dict.fromkeys(("runner", "convert", "skip_tokenizer_init", "pooler_config"), "the policy writes texts"),
    **dict.fromkeys(("enable_lora", "max_loras", "max_lora_rank", "max_cpu_loras", "default_mm_loras"), _LORA),
    **dict.fromkeys(("data_parallel_size", "data_parallel_rank", "data_parallel_backend"), _ONE),
}
"""Not passed on, and why."""

LOAD_FORMATS = ("auto", "safetensors", "mistral", "fastsafetensors", "instanttensor", "runai_streamer")
"""Of safetensors; the others of vLLM may run code of a pickle, or load nothing."""
_BACKENDS = ("mp", "ray", "uni", "external_launcher")


def check_arguments(arguments: Mapping[str, Any]) -> None:
    """Refuse what is not passed on to vLLM.

    Raises:
        SeveralErrors: what was found, and what to do, of each argument.
    """
    wrong = [_wrong(name, value) for name, value in arguments.items()]
    if said := [one for one in wrong if one is not None]:
        raise SeveralErrors(said)


def _wrong(name: str, value: Any) -> str | None:
    if name in OWNED:
        return f"vllm.{name} is set by {OWNED[name]}; set it there"
    if name in NOT_OFFERED:
        return f"vllm.{name} is not passed on: {NOT_OFFERED[name]}; take it out"
    if name not in _known():
        return f"vllm.{name}: {_unknown(name)}"
    for limited, allowed in (("load_format", LOAD_FORMATS), ("distributed_executor_backend", _BACKENDS)):
        if name == limited and value not in allowed:
            return f"vllm.{name}: {value!r}; allowed are {', '.join(allowed)}"
    return None


def text_arguments(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Those that can change a text."""
    return {name: value for name, value in arguments.items() if name not in EXECUTION}


def arguments_of_others(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """What of a recipe that others wrote is told to vLLM here: what makes their texts; this machine decides the rest.

    Raises:
        ValueError: something that can change texts, and may reach further than that.
    """
    told = text_arguments(arguments)
    if unusual := sorted({*told} - _OF_OTHERS):
        raise ValueError(f"runtime.vllm.{unusual[0]} is not taken from a recipe of others")
    return told


def _known() -> frozenset[str]:
    return _installed() or EXECUTION | _COMMON


def _unknown(name: str) -> str:
    near = get_close_matches(name, _known(), n=3)
    meant = f"; did you mean {' or '.join(near)}?" if near else ""
    if _installed():
        return f"the vLLM that is installed here has no such engine argument{meant}"
    return (
        f"lidr does not know this engine argument, and vLLM, which could be asked, is not installed here{meant}; "
        f"without it the known ones are: {', '.join(sorted(_known()))}"
    )


@cache
def _installed() -> frozenset[str]:
    """The fields of EngineArgs of the vLLM that is installed; empty where none is, or where it is built otherwise."""
    found = importlib.util.find_spec("vllm")
    if found is None or found.origin is None:
        return frozenset()
    try:
        tree = ast.parse((Path(found.origin).parent / "engine" / "arg_utils.py").read_text(encoding="utf-8"))
    except (OSError, SyntaxError):
        return frozenset()
    return frozenset(
        line.target.id
        for one in tree.body
        if isinstance(one, ast.ClassDef) and one.name == "EngineArgs"
        for line in one.body
        if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name) and not line.target.id.startswith("_")
    )
