"""Which layers of a model get adapters where a recipe names none, and which got some, by kind.

attention    projections of attention, linear attention included
mlp          feed-forward layers that every token goes through, shared experts included
experts      those of a mixture: one parameter of three dimensions for all experts of a layer, or layers below `experts`
router       what chooses among them
vision       a tower for images and what leads from it into the language model
other        anything else: convolutions' projections of state-space layers, towers for sound

Experts and their router get adapters on request only (lora.peft.target_parameters, or lora.target_modules), and what
stands beside the language model never without it: text alone trains no vision tower.
"""

from __future__ import annotations

import copy
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import torch
from peft import LoraConfig
from peft.tuners.tuners_utils import BaseTunerLayer
from peft.utils.transformers_weight_conversion import convert_peft_config_for_transformers
from transformers.pytorch_utils import Conv1D

from lidr.train.training_spec import AdaptedParts

_VISION = re.compile(r"visi|visual|image|img|multi_modal|mm_proj|siglip", re.IGNORECASE)
_ATTENTION = re.compile(r"attn|attention", re.IGNORECASE)
_MLP = re.compile(r"mlp|feed_forward|ffn|expert", re.IGNORECASE)
_ROUTERS = ("router", "gate", "shared_expert_gate")
_ON_REQUEST = ("experts", "router", "vision")


def all_linear(model: Any) -> str | set[str]:
    """Every linear layer of the language model but its head, experts and routers: names, or peft's word for all.

    Args:
        model: without adapters.
    """
    kinds = dict(_adaptable(model))
    linear = {name for name, module in model.named_modules() if _is_linear(module) and name in kinds}
    towers = {name for name in linear if not _is_inside(name, _decoder(model))}
    left = towers | {name for name in linear if kinds[name] in _ON_REQUEST}
    has_experts = any(kind == "experts" for kind in kinds.values())
    if not left and not has_experts:
        return "all-linear"
    # Of some mixtures peft takes names of feed-forward layers for those of the experts, whose layers had these names
    # before transformers 5, and would adapt experts for them.
    config = LoraConfig(target_modules=linear - left)
    before = copy.copy(config.target_parameters) or []
    convert_peft_config_for_transformers(config, model, None)
    if {*(config.target_parameters or [])} == {*before}:
        return linear - left
    return {str(name) for name in config.target_modules}


def parts_of(model: Any) -> AdaptedParts:
    """Count the layers of a peft model by kind: those that have an adapter, and those that could have and do not."""
    base = model.get_base_model()
    adapted: Counter[str] = Counter()
    left: Counter[str] = Counter()
    layers = [(_plain(name), part) for name, part in base.named_modules() if isinstance(part, BaseTunerLayer)]
    names = {name for name, _ in layers}
    parameters = {f"{name}.{module.parameter_name}" for name, module in layers if hasattr(module, "parameter_name")}
    for name, kind in _adaptable(base):
        has_one = name in parameters or (name in names and not any(p.startswith(f"{name}.") for p in parameters))
        (adapted if has_one else left)[kind] += 1
    return AdaptedParts(dict(sorted(adapted.items())), dict(sorted(left.items())))


def _plain(name: str) -> str:
    """The name of a module as it was before peft put layers around it."""
    return re.sub(r"\.base_layer\b", "", name)


def _adaptable(model: Any) -> Iterator[tuple[str, str]]:
    """Name and kind of each linear layer but the head, and of each parameter that holds all experts of a layer."""
    decoder, head = _decoder(model), model.get_output_embeddings()
    seen = set()
    for long_name, module in model.named_modules():
        name = _plain(long_name)
        if module is head or ".lora_" in name or name in seen:
            continue
        if _is_linear(module) and not isinstance(module, BaseTunerLayer):
            seen.add(name)
            yield name, _kind(name, decoder)
            continue
        for own, parameter in module._parameters.items():
            if parameter is None or isinstance(module, torch.nn.Embedding | torch.nn.modules.conv._ConvNd):
                continue
            whole = f"{name}.{own}"
            is_router = parameter.dim() == 2 and name.rpartition(".")[2] in _ROUTERS
            if (parameter.dim() == 3 or is_router) and _is_inside(name, decoder) and whole not in seen:
                seen.add(whole)
                yield whole, "router" if is_router else "experts"


def _is_linear(module: torch.nn.Module) -> bool:
    return isinstance(module, torch.nn.Linear | Conv1D)


def _decoder(model: Any) -> str:
    """Name of the language model inside a model; empty where it is the whole."""
    decoder = model.get_decoder()
    return next((_plain(name) for name, module in model.named_modules() if module is decoder), "")


def _is_inside(name: str, decoder: str) -> bool:
    return not decoder or name.startswith(f"{decoder}.")


def _kind(name: str, decoder: str) -> str:
    if not _is_inside(name, decoder):
        return "vision" if _VISION.search(name) else "other"
    parts = name.removeprefix(f"{decoder}.").split(".")
    if parts[-1] in _ROUTERS or "router" in parts:
        return "router"
    if "experts" in parts:
        return "experts"
    if any(_ATTENTION.search(part) for part in parts):
        return "attention"
    return "mlp" if any(_MLP.search(part) for part in parts) else "other"
