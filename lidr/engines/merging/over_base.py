"""An adapter over its base, not merged: peft's own layers in the place of the base's, all of whose tensors were found.

peft says nothing aloud of a tensor that finds no place, or of a place that gets none: the answers would be the base's.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lidr.engines.merging.adapter_folder import AdapterFolder
from lidr.errors import EngineError
from lidr.weights import forbid_fetched_kernels

PROBE = "1 + 1 = 2. Paris, Berlin, Madrid: "
"""What a model is asked with and without its adapter."""


def put_over(model: Any, adapter: AdapterFolder, *, tied: bool) -> Any:
    """The base with the adapter over it, all of whose tensors found their place.

    Args:
        model: the base, a causal language model, which is changed.
        adapter: checked before.
        tied: whether head and embedding of the base are one tensor.

    Returns:
        peft's model; its `get_base_model()` is the base with the adapter's layers in it.

    Raises:
        EngineError: a tensor has no place, or a place no tensor.
    """
    forbid_fetched_kernels()
    from peft import PeftConfig, PeftModelForCausalLM

    config = PeftConfig.from_pretrained(adapter.path)
    config.inference_mode = True
    over = PeftModelForCausalLM(model, config, "default")
    renamed = getattr(model, "_checkpoint_conversion_mapping", {})
    result = over.load_adapter(adapter.path, "default", torch_device="cpu", key_mapping=renamed)
    unexpected = [name for name in result.unexpected_keys if not _stands_elsewhere(name, adapter, tied=tied)]
    for names, what in (
        (unexpected, "tensors of the adapter have no place in the base"),
        (result.missing_keys, "places of the base that the adapter's configuration names got no tensor"),
    ):
        if names:
            raise EngineError(
                f"the adapter {adapter.path} does not fit: {len(names):,} {what}, the first {names[0]}; "
                f"{trained_over(adapter)}"
            )
    return over.eval()


def trained_over(adapter: AdapterFolder) -> str:
    """What an adapter says of its base, for messages."""
    name = adapter.base_name
    return f"it says that it was trained over {name}" if name else "it does not say over which model it was trained"


def without_effect(adapter: AdapterFolder, base: Path) -> EngineError:
    """The error of an adapter with which the base answers as without it."""
    return EngineError(
        f"the adapter {adapter.path} changes no logit of {base}: it was not trained (its B matrices are zero), or "
        "it belongs to another model"
    )


def _stands_elsewhere(tensor: str, adapter: AdapterFolder, *, tied: bool) -> bool:
    """Whether a tensor without a place is a second copy, as peft writes them of saved modules and of tied tokens."""
    if tensor.replace(".modules_to_save.", ".") in adapter.shapes and ".modules_to_save." in tensor:
        return True
    ends = tensor[tensor.rindex(".token_adapter.") :] if ".token_adapter." in tensor else ""
    return tied and bool(ends) and sum(name.endswith(ends) for name in adapter.shapes) > 1
