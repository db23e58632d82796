"""Tiny random models whose folders are not what the class that loads them would write: packed, wrapped, mixtures.

Weights are drawn; tokenizer and chat template are those of tests/tiny.py's "qwen2".

    folder = odd_model(tmp_path / "policy", "qwen3_5")
    pack_mxfp4(folder)
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.tiny import tiny_model

WIDE: dict[str, Any] = {
    "vocab_size": 448,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 16,
    "max_position_embeddings": 512,
    "initializer_range": 0.2,
}


def odd_model(folder: Path, kind: str, *, seed: int = 0, dtype: str = "float32", **changes: Any) -> Path:
    """Write a random model of a kind of `KINDS` as a plain folder, under the class that its makers publish it with."""
    import torch
    import transformers

    words = tiny_model(folder, "qwen2")
    ids = {"eos_token_id": 2, "pad_token_id": 0, "bos_token_id": None}
    config_class, model_class, fields = KINDS[kind]
    config = getattr(transformers, config_class)(**_with(fields, {**ids, **changes}))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = getattr(transformers, model_class)(config)
        for name, weight in model.named_parameters():
            if weight.dim() == 3:  # experts in one parameter: some classes leave them as they come
                torch.nn.init.normal_(weight, std=0.2)
            assert torch.isfinite(weight).all(), name
    model.to(getattr(torch, dtype)).save_pretrained(words)
    return words


def _with(fields: dict[str, Any], ids: dict[str, Any]) -> dict[str, Any]:
    if "text_config" in fields:
        return {**fields, "text_config": {**fields["text_config"], **ids}, "tie_word_embeddings": True}
    return {**fields, **ids}


_VISION = {"hidden_size": 16, "intermediate_size": 32, "num_attention_heads": 2, "num_hidden_layers": 1}
_MIXTURE = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32}
KINDS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "qwen3_5": (
        "Qwen3_5Config",
        "Qwen3_5ForConditionalGeneration",
        {
            "text_config": {
                **{**WIDE, "num_key_value_heads": 1},
                **{"linear_key_head_dim": 16, "linear_value_head_dim": 16},
                **{"linear_num_key_heads": 2, "linear_num_value_heads": 2},
                "layer_types": ["linear_attention", "full_attention"],
                "tie_word_embeddings": True,
            },
            "vision_config": {
                **{"depth": 1, "hidden_size": 16, "intermediate_size": 32, "num_heads": 2, "out_hidden_size": 32},
                **{"num_position_embeddings": 16, "patch_size": 4},
            },
        },
    ),
    "gemma3": (
        "Gemma3Config",
        "Gemma3ForConditionalGeneration",
        {
            "text_config": {**WIDE, "query_pre_attn_scalar": 16, "sliding_window": 64},
            "vision_config": {**_VISION, "image_size": 16, "patch_size": 4},
            "mm_tokens_per_image": 4,
        },
    ),
    "mistral3": (
        "Mistral3Config",
        "Mistral3ForConditionalGeneration",
        {
            "text_config": {**WIDE, "model_type": "mistral"},
            "vision_config": {**_VISION, "image_size": 16, "patch_size": 4, "model_type": "pixtral", "head_dim": 8},
        },
    ),
    "gpt_oss": (
        "GptOssConfig",
        "GptOssForCausalLM",
        {**WIDE, "intermediate_size": 32, "num_local_experts": 4, "num_experts_per_tok": 2},
    ),
    "qwen3_moe": ("Qwen3MoeConfig", "Qwen3MoeForCausalLM", {**WIDE, **_MIXTURE}),
    "qwen2_moe": (
        "Qwen2MoeConfig",
        "Qwen2MoeForCausalLM",
        {**WIDE, **_MIXTURE, "shared_expert_intermediate_size": 32},
    ),
    "deepseek_v3": (
        "DeepseekV3Config",
        "DeepseekV3ForCausalLM",
        {
            **{name: value for name, value in WIDE.items() if name != "head_dim"},
            **{"moe_intermediate_size": 32, "n_routed_experts": 4, "num_experts_per_tok": 2, "n_shared_experts": 1},
            **{"n_group": 1, "topk_group": 1, "first_k_dense_replace": 1, "num_key_value_heads": 2},
            **{"q_lora_rank": 16, "kv_lora_rank": 16, "qk_nope_head_dim": 8, "qk_rope_head_dim": 8, "v_head_dim": 16},
        },
    ),
    "granite_hybrid": (
        "GraniteMoeHybridConfig",
        "GraniteMoeHybridForCausalLM",
        {
            **WIDE,
            **{"num_local_experts": 4, "num_experts_per_tok": 2, "shared_intermediate_size": 32},
            "layer_types": ["mamba", "attention"],
            **{"mamba_n_heads": 4, "mamba_d_head": 16, "mamba_d_state": 16, "mamba_n_groups": 1, "mamba_expand": 2},
        },
    ),
    "qwen3": ("Qwen3Config", "Qwen3ForCausalLM", {**WIDE, "tie_word_embeddings": True}),
}


def pack_mxfp4(folder: Path, *, seed: int = 0) -> None:
    """Put 4-bit blocks and their scales where a gpt-oss folder has experts, as the published ones hold them."""
    import torch

    def packed(name: str, tensor: Any) -> dict[str, Any]:
        if tensor.dim() != 3:
            return {name: tensor}
        experts, inputs, outputs = tensor.shape
        generator = torch.Generator().manual_seed(seed + len(name))
        blocks = torch.randint(0, 256, (experts, outputs, inputs // 32, 16), generator=generator, dtype=torch.uint8)
        return {f"{name}_blocks": blocks, f"{name}_scales": torch.full_like(blocks[..., 0], 123)}  # 2 ** (123 - 127)

    left = ["model.layers.*.self_attn", "model.layers.*.mlp.router", "model.embed_tokens", "lm_head"]
    _rewrite(folder, packed, {"quant_method": "mxfp4", "modules_to_not_convert": left})


def pack_fp8(folder: Path, *, block: int = 16) -> None:
    """Put 8-bit weights with a scale for each block in the place of linear layers' own, as Qwen3-8B-FP8 holds them."""
    import torch

    def packed(name: str, tensor: Any) -> dict[str, Any]:
        if not name.endswith("_proj.weight"):
            return {name: tensor}
        rows, columns = tensor.shape
        parts = tensor.float().reshape(rows // block, block, columns // block, block)
        scales = parts.abs().amax(dim=(1, 3)) / 448  # the largest number of float8_e4m3
        whole = (parts / scales[:, None, :, None]).reshape(rows, columns).to(torch.float8_e4m3fn)
        return {name: whole, f"{name}_scale_inv": scales}

    how = {"quant_method": "fp8", "activation_scheme": "dynamic", "weight_block_size": [block, block]}
    _rewrite(folder, packed, {**how, "modules_to_not_convert": ["lm_head"]})


def _rewrite(folder: Path, packed: Any, how: dict[str, Any]) -> None:
    from safetensors.torch import load_file, save_file

    file = folder / "model.safetensors"
    tensors: dict[str, Any] = {}
    for name, tensor in load_file(file).items():
        tensors |= packed(name, tensor)
    save_file(tensors, file, metadata={"format": "pt"})
    say_packed(folder, how)


def say_packed(folder: Path, how: dict[str, Any]) -> None:
    """Write a quantization_config into a folder's config.json."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps({**config, "quantization_config": how}), encoding="utf-8")
