"""A policy loaded to be trained, measured or merged: one class for each kind of model, every weight a plain number.

What a checkpoint's config.json names under `architectures` may be a wrapper around the language model (Qwen3.5: text
and images), in which the same weights have other names. TRL loads that class, AutoModelForCausalLM the language model:
an adapter of the one does nothing over the other. lidr takes AutoModelForCausalLM wherever it knows the model, as its
engines, lm-eval and most users do; else the wrapper.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from typing import Any, Literal

from lidr.errors import EngineError
from lidr.weights.quantised import quantised_by, refused_base
from lidr.weights.saving import round_to

Quantization = Literal["nf4", "int8"]
"""How frozen weights are packed while an adapter is trained (QLoRA): 4 bits as NF4 with double quantisation, or 8."""


def load_policy(
    folder: Path | str,
    *,
    dtype: str = "auto",
    trust_remote_code: bool = False,
    quantization: Quantization | None = None,
    **more: Any,
) -> Any:
    """Load a model folder; packed weights (mxfp4, fp8) are unpacked, and the model forgets that they were.

    Args:
        folder: of safetensors.
        dtype: of the weights, as in "bfloat16"; "auto" takes the folder's own.
        trust_remote_code: run code that comes with it.
        quantization: pack the weights of linear layers while they are loaded.
        more: for `from_pretrained`: attn_implementation, device_map, output_loading_info.

    Returns:
        The model; with `output_loading_info` a pair, as transformers gives it.

    Raises:
        EngineError: packed by a method that is not unpacked, or a kind of model that transformers does not load.
    """
    import torch
    from transformers import AutoConfig

    method = quantised_by(Path(folder))
    if (why := refused_base(str(folder), method, quantization=quantization)) is not None:
        raise EngineError(why)
    trusted = {"local_files_only": True, "trust_remote_code": trust_remote_code}
    config = AutoConfig.from_pretrained(folder, **trusted)
    if method is not None:
        _unpacking(config)
    if quantization is not None:
        more["quantization_config"] = _bitsandbytes(quantization, dtype)
    loaded = policy_class(config).from_pretrained(
        folder,
        config=config,
        dtype=dtype if dtype == "auto" else getattr(torch, dtype),
        use_safetensors=True,
        **trusted,
        **more,
    )
    model = loaded[0] if isinstance(loaded, tuple) else loaded
    if quantization is not None and model.device.type == "cpu":
        _compute_as_in_training(model)
    if method is not None:
        _forget_packing(model)
        round_to(model, model.config.dtype)  # weights that were packed come in a format of their own
    return loaded


def forbid_fetched_kernels() -> None:
    """Import bitsandbytes, where it is installed, without the native code that it would fetch from a Hub.

    On some CPUs it does so when it is imported, if the package `kernels` is there; peft imports it. Call this before.
    lidr runs no code that is not installed.
    """
    if "bitsandbytes" in sys.modules or importlib.util.find_spec("bitsandbytes") is None:
        return
    there = sys.modules.get("kernels")
    sys.modules["kernels"] = None  # type: ignore[assignment]  # an import of it fails
    try:
        importlib.import_module("bitsandbytes")
    finally:
        del sys.modules["kernels"]
        if there is not None:
            sys.modules["kernels"] = there


def policy_class(config: Any) -> Any:
    """The auto class of transformers that loads a configuration's model as a language model.

    Raises:
        EngineError: none does.
    """
    from transformers import (
        MODEL_FOR_CAUSAL_LM_MAPPING,
        MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING,
        AutoModelForCausalLM,
        AutoModelForImageTextToText,
    )

    remote = getattr(config, "auto_map", None) or {}
    if type(config) in MODEL_FOR_CAUSAL_LM_MAPPING or "AutoModelForCausalLM" in remote:
        return AutoModelForCausalLM
    if type(config) in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING:
        return AutoModelForImageTextToText
    raise EngineError(
        f"model_type {config.model_type}: no language model that this transformers loads; give one that "
        "AutoModelForCausalLM or AutoModelForImageTextToText takes"
    )


def _unpacking(config: Any) -> None:
    """Ask for plain numbers, where the checkpoint's own configuration of its packing stands."""
    for part in (config, config.get_text_config()):
        if isinstance(found := getattr(part, "quantization_config", None), dict):
            part.quantization_config = {**found, "dequantize": True}


def _forget_packing(model: Any) -> None:
    """Make a model that was unpacked an ordinary one.

    Else it would be saved as packed, and, of gpt-oss, the experts of all layers under one name: transformers renames
    weights back by the patterns that it unpacked them with.
    """
    from transformers.conversion_mapping import get_model_conversion_mapping
    from transformers.core_model_loading import PrefixChange

    for part in (model.config, model.config.get_text_config()):
        if hasattr(part, "quantization_config"):
            del part.quantization_config
    for name in ("hf_quantizer", "is_quantized", "quantization_method"):
        if hasattr(model, name):
            setattr(model, name, False if name == "is_quantized" else None)
    was_nested = any(isinstance(one, PrefixChange) for one in model._weight_conversions or ())
    plain = get_model_conversion_mapping(model, add_legacy=False)
    model._weight_conversions = [one for one in plain if was_nested or not isinstance(one, PrefixChange)] or None


def _bitsandbytes(quantization: Quantization, dtype: str) -> Any:
    import torch
    from transformers import BitsAndBytesConfig

    if quantization == "int8":
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=getattr(torch, dtype),
    )


def _compute_as_in_training(model: Any) -> None:
    """Let packed layers on a CPU compute in evaluation as they do in training, whatever mode the model is put into.

    bitsandbytes has faster ways for answers there: it repacks weights of 4 bits, through which no gradient flows any
    more, and rounds activations to 8 bits. A reference computed so is another model than the one that is trained.
    """
    for module in model.modules():
        if type(module).__module__.startswith("bitsandbytes."):
            module.training = True
            module.train = lambda mode=True, module=module: module
