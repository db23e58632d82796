"""Packed weights, as config.json says it: which are unpacked for training, and which cannot be. No torch here.

mxfp4 (gpt-oss), fp8 with block scales (DeepSeek, Qwen3-FP8)    unpacked once, saved without their quantisation
awq, gptq, bitsandbytes, compressed-tensors, ...                refused: what was lost in packing is not trained around
"""

from __future__ import annotations

import json
from pathlib import Path

UNPACKED = ("mxfp4", "fp8")
"""Methods whose weights transformers unpacks while it loads, exactly, without another package."""


def quantised_by(folder: Path) -> str | None:
    """The method by which a folder's weights are packed; None where they are plain numbers, or where it has no config.

    >>> quantised_by(Path("no/such/folder")) is None
    True
    """
    return packed_by(folder / "config.json")


def packed_by(config: Path) -> str | None:
    """The same of a config.json."""
    try:
        said = json.loads(config.read_text(encoding="utf-8"))
        inner = said.get("text_config")
        found = said.get("quantization_config") or said.get("compression_config")
        found = found or (inner.get("quantization_config") if isinstance(inner, dict) else None)
    except (OSError, ValueError, AttributeError, RecursionError):
        return None
    if not isinstance(found, dict):
        return None if found is None else "an unknown method"
    if found.get("load_in_4bit") or found.get("load_in_8bit"):
        return "bitsandbytes"
    return str(found.get("quant_method") or "an unknown method")


def refused_base(name: str, method: str | None, *, quantization: str | None = None) -> str | None:
    """Why a model with packed weights cannot be trained, or an adapter merged into it; None where it can.

    Args:
        name: of the model, for the message.
        method: see `quantised_by`.
        quantization: of `train.load`: by what the weights are to be packed while they are loaded.
    """
    if method is None or (method in UNPACKED and quantization is None):
        return None
    if method in UNPACKED:
        return (
            f"{name} is quantised already ({method}), and is unpacked to be trained; packing it again as "
            f"{quantization} is not offered: take train.load.quantization out, or give the same model in bfloat16"
        )
    return (
        f"{name} is quantised ({method}); weights are trained and adapters merged as plain numbers, and of packed ones "
        f"lidr unpacks {' and '.join(UNPACKED)} alone: give the same model in bfloat16"
    )
