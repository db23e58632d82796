"""How large a model is, without loading it: by its files, else by its name."""

from __future__ import annotations

import json
import math
import re
import struct
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

_SIZE = re.compile(r"(?<![A-Za-z0-9.])(\d+(?:\.\d+)?)([BbMm])(?![A-Za-z0-9])")
_PACKED = re.compile(r"(?i)(?<![a-z0-9])(awq|gptq|fp8|nvfp4|mxfp4|int[48]|[48]-?bits?|bnb|w\d+a\d+)(?![a-z0-9])")
_MIXTURE = re.compile(
    r"(?<![a-z0-9])(a\d+(\.\d+)?b|\d+x?\d*e|\d+x\d+\w*|\w*moe|gpt-oss|mixtral)(?![a-z0-9])", re.IGNORECASE
)
"""What the name of a mixture of experts has: A3B, 16E, 8x7B."""
_MOST_HEADER = 100_000_000  # bytes; safetensors itself reads no longer one

_NUMBER = ("num_experts", "num_local_experts", "n_routed_experts")
_CHOSEN = ("num_experts_per_tok", "experts_per_token", "top_k_experts")
_SHARED = ("shared_expert_intermediate_size", "shared_intermediate_size")
_KEY_HEADS = ("num_key_value_heads", "num_kv_heads", "n_head_kv")
_KEEPS = {"full_attention", "sliding_attention"}
"""Kinds of layers that keep keys and values of every text; a hybrid has others, too."""
_EXPERT = re.compile(r"(?P<layer>.*\.experts)\.\d+\.(?P<side>\w+)$")
_FUSED = {"gate_proj": ("gate_up_proj", True), "up_proj": ("gate_up_proj", False)} | {
    "w1": ("gate_up_proj", True),
    "w3": ("gate_up_proj", False),
    "w2": ("down_proj", True),
}
"""Of one expert's sides: the parameter of all experts that it becomes, and whether its inputs count there."""
_NO_LAYER = re.compile(r"embed|mtp\.|\.experts\.")
_BESIDE = re.compile(r"vision|visual|audio|multi_modal|mm_|image")
"""In the names of what stands beside a language model."""


@dataclass(frozen=True)
class ModelShape:
    """A decoder's size.

    Args:
        parameters: all of them.
        layers, hidden, inner: blocks; width of the stream; width of the feed-forward part.
        kv: width of the keys of all heads of a layer; of the values too.
        vocabulary: tokens.
        source: where it is from, for people.
        experts: of the parameters, those in experts of a mixture.
        chosen: share of a layer's experts that one token goes through.
        caching: layers that keep keys and values; 0: all of them.
        kv_heads: heads of keys, and of values; 0: not known.
        adaptable: name of each weight inside the layers, as transformers has it, and how many parameters an adapter of
            rank 1 over it has; empty where the files were not read.
    """

    parameters: int
    layers: int
    hidden: int
    inner: int
    kv: int
    vocabulary: int
    source: str
    experts: int = 0
    chosen: float = 1.0
    caching: int = 0
    adaptable: tuple[tuple[str, int], ...] = ()
    kv_heads: int = 0

    @property
    def active(self) -> int:
        """Parameters that one token goes through."""
        return self.parameters - round(self.experts * (1 - self.chosen))


_LIKE = (
    ModelShape(134_515_008, 30, 576, 1536, 192, 49_152, "SmolLM2-135M", kv_heads=3),
    ModelShape(494_032_768, 24, 896, 4864, 128, 151_936, "Qwen2.5-0.5B", kv_heads=2),
    ModelShape(1_235_814_400, 16, 2048, 8192, 512, 128_256, "Llama-3.2-1B", kv_heads=8),
    ModelShape(3_212_749_824, 28, 3072, 8192, 1024, 128_256, "Llama-3.2-3B", kv_heads=8),
    ModelShape(8_030_261_248, 32, 4096, 14_336, 1024, 128_256, "Llama-3-8B", kv_heads=8),
    ModelShape(14_770_033_664, 48, 5120, 13_824, 1024, 152_064, "Qwen2.5-14B", kv_heads=8),
    ModelShape(32_763_876_352, 64, 5120, 27_648, 1024, 152_064, "Qwen2.5-32B", kv_heads=8),
    ModelShape(70_553_706_496, 80, 8192, 28_672, 1024, 128_256, "Llama-3-70B", kv_heads=8),
)
"""Published models, by their config.json: what a model is taken to be like of which only the size is known."""


def shape_named(name: str) -> ModelShape | None:
    """A model by the size in its name, shaped like the published model that is nearest to it in size.

    >>> shape = shape_named("meta-llama/Meta-Llama-3-8B-Instruct")
    >>> shape.parameters, shape.layers, shape.source
    (8000000000, 32, 'by its name, shaped like Llama-3-8B')
    >>> [shape_named(name) for name in ("mistralai/Mixtral-8x7B-v0.1", "Qwen/Qwen3-30B-A3B")]  # another arithmetic
    [None, None]
    >>> shape_named("Qwen/Qwen2.5-7B-Instruct-AWQ")  # packed weights
    """
    last = name.rpartition("/")[2]
    sizes = _SIZE.findall(last)
    if len(sizes) != 1 or _MIXTURE.search(last) or _PACKED.search(last):
        return None
    number, unit = sizes[0]
    parameters = round(float(number) * (1e9 if unit in "Bb" else 1e6))
    near = min(_LIKE, key=lambda like: max(like.parameters / parameters, parameters / like.parameters))
    return replace(near, parameters=parameters, source=f"by its name, shaped like {near.source}")


def shape_in(folder: Path) -> ModelShape | None:
    """A model by its config.json and the headers of its safetensors.

    Its parameters are counted where the files are there. Without them only a dense decoder is known, by its config.json
    alone: of a mixture of experts, a hybrid or a wrapper with a vision tower not all stands there.

    Returns:
        None where it cannot be told: no config.json of a decoder, packed weights, compressed keys and values.
    """
    try:
        raw = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        tensors = _tensors(folder)
        return _by_files(raw, tensors) if tensors else _by_config(raw)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ZeroDivisionError, RecursionError, struct.error):
        return None


def _by_config(config: dict[str, Any]) -> ModelShape | None:
    layers, hidden, inner = (int(config[f]) for f in ("num_hidden_layers", "hidden_size", "intermediate_size"))
    heads, kv, vocabulary = int(config["num_attention_heads"]), _kv_width(config), int(config["vocab_size"])
    is_dense = not any("expert" in key for key in config) and {*(config.get("layer_types") or ())} <= _KEEPS
    if not is_dense or "kv_lora_rank" in config or min(layers, hidden, inner, kv, vocabulary) < 1:
        return None
    head = int(config.get("head_dim") or hidden // heads)
    tables = vocabulary * hidden * (1 if config.get("tie_word_embeddings", True) else 2)
    blocks = layers * (2 * hidden * heads * head + 2 * hidden * kv + 3 * hidden * inner)
    source = "by its config.json"
    return ModelShape(tables + blocks, layers, hidden, inner, kv, vocabulary, source, kv_heads=kv // head)


def _by_files(raw: dict[str, Any], tensors: dict[str, tuple[int, ...]]) -> ModelShape | None:
    """Width of keys, vocabulary and experts are read from the weights: a config.json leaves out what is usual."""
    inside = raw.get("text_config")
    config = inside if isinstance(inside, dict) else raw
    text = {name: shape for name, shape in tensors.items() if not _BESIDE.search(name)}
    keys = [shape[0] for name, shape in text.items() if name.endswith("k_proj.weight")]
    tables = [shape[0] for name, shape in text.items() if name.endswith("embed_tokens.weight")]
    experts = sum(math.prod(shape) for name, shape in text.items() if ".experts." in name)
    number, chosen = _first(config, _NUMBER), _first(config, _CHOSEN)
    inner = int(config.get("intermediate_size") or 0)
    if experts:  # a token goes through the chosen ones, and through those that all share
        each = int(config.get("moe_intermediate_size") or inner)
        inner = chosen * each + max(_first(config, _SHARED), int(config.get("n_shared_experts") or 0) * each)
    kv = max(keys) if keys else _kv_width(config)
    vocabulary = max(tables) if tables else int(config["vocab_size"])
    layers, hidden = int(config["num_hidden_layers"]), int(config["hidden_size"])
    is_packed = raw.get("quantization_config") or raw.get("compression_config") or config.get("quantization_config")
    is_unclear = bool(experts) != bool(number) or (experts and not 0 < chosen <= number)
    if is_packed or is_unclear or config.get("kv_lora_rank") or min(layers, hidden, inner, kv, vocabulary) < 1:
        return None
    return ModelShape(
        sum(map(math.prod, tensors.values())),
        *(layers, hidden, inner, kv, vocabulary, "counted in its files"),
        experts=experts,
        chosen=chosen / number if experts else 1.0,
        caching=min(len(keys), layers),
        adaptable=_adaptable(text),
        kv_heads=_first(config, _KEY_HEADS),
    )


def _adaptable(text: dict[str, tuple[int, ...]]) -> tuple[tuple[str, int], ...]:
    """peft gives a layer's experts one adapter for all of them, of as many times the rank as there are experts.

    In files each expert stands apart, or all of a layer in one tensor of three dimensions, as transformers has them.
    """
    found: Counter[str] = Counter()
    for name, shape in text.items():
        layer = name.removesuffix(".weight")
        if (one := _EXPERT.match(layer)) and len(shape) == 2:
            whole, is_first = _FUSED.get(one["side"], (one["side"], True))
            found[f"{one['layer']}.{whole}"] += shape[0] + (shape[1] if is_first else 0)
        elif ".experts." in name and len(shape) == 3:
            found[layer] += shape[0] * (shape[1] + shape[2])
        elif name != layer and len(shape) == 2 and ".layers." in name and not _NO_LAYER.search(name):
            found[layer] += sum(shape)
    return tuple(found.items())


def heads_in(folder: Path) -> tuple[int, int] | None:
    """Attention heads of a model, and its heads of keys and values, by its config.json.

    Returns:
        None where it says no number of heads; 0 heads of keys where it says none, or keys are compressed and every GPU
        holds all of them.
    """
    try:
        raw = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        inside = raw.get("text_config")
        config = inside if isinstance(inside, dict) else raw
        keys = 0 if config.get("kv_lora_rank") else _first(config, _KEY_HEADS)
        return int(config["num_attention_heads"]), keys
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def can_share(gpus: int, heads: int, keys: int) -> bool:
    """Whether so many GPUs share a model of so many attention heads and heads of keys; 0 of these: not known.

    Each GPU takes as many attention heads as the others. Heads of keys and values are shared out, too; where there are
    fewer than GPUs each is held by as many GPUs (vllm 0.32: config/model.py, QKVParallelLinear in layers/linear.py).
    """
    return heads % gpus == 0 and (not keys or keys % gpus == 0 or gpus % keys == 0)


def _kv_width(config: dict[str, Any]) -> int:
    heads = int(config["num_attention_heads"])
    head = int(config.get("head_dim") or int(config["hidden_size"]) // heads)
    return int(config.get("num_key_value_heads") or heads) * head


def _first(config: dict[str, Any], names: tuple[str, ...]) -> int:
    return next((int(config[name]) for name in names if config.get(name)), 0)


def _tensors(folder: Path) -> dict[str, tuple[int, ...]]:
    """Name of each tensor in a folder's safetensors -> its shape; empty where there is none."""
    found: dict[str, tuple[int, ...]] = {}
    for file in folder.glob("*.safetensors"):
        with file.open("rb") as opened:
            (length,) = struct.unpack("<Q", opened.read(8))
            header = json.loads(opened.read(min(length, _MOST_HEADER)))
        found |= {name: tuple(map(int, one["shape"])) for name, one in header.items() if name != "__metadata__"}
    return found
