"""A policy of which each process holds a part of every weight: FSDP2, as transformers applies it while it loads.

Each process reads its own part of the files and no other, and a layer is whole only while it is worked on. Gradients
and the optimiser's state are in parts, too. Adapters are whole in every process.

    model.layers.3.mlp.up_proj.weight    DTensor (14336, 4096), of which 8 processes hold (1792, 4096) each
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from peft import PeftModel, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
from torch.distributed.checkpoint.state_dict import StateDictOptions, set_model_state_dict
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor
from transformers.distributed import DistributedConfig
from transformers.distributed.utils import (
    gather_full_state_dict,
    load_optimizer_distributed,
    save_optimizer_distributed,
)

from lidr.errors import TrainError
from lidr.weights import load_policy

_OPTIMISER, _SCHEDULER = "optimizer", "scheduler.pt"


def load_in_parts(folder: str, processes: int, **loading: Any) -> Any:
    """Load a model folder, of every weight this process's part.

    Args:
        folder: of safetensors.
        processes: that share it.
        loading: for `lidr.weights.load_policy`.

    Raises:
        TrainError: this kind of model cannot be shared, or a weight was not.
    """
    try:
        model = load_policy(folder, distributed_config=DistributedConfig(fsdp_size=processes), **loading)
    except ValueError as error:
        if "FSDP2 plan" not in str(error):
            raise
        raise TrainError(
            f"runtime.sharding: fsdp: transformers says for this kind of model nothing of how it is shared ({error}); "
            "take `sharding` out"
        ) from None
    if whole := [name for name, parameter in model.named_parameters() if not isinstance(parameter, DTensor)]:
        raise TrainError(
            f"runtime.sharding: fsdp: {len(whole)} weights are not shared, {whole[0]} for one; take `sharding` out"
        )
    return model


def is_in_parts(model: Any) -> bool:
    """Whether it was loaded so."""
    return bool(getattr(model, "is_distributed_loading_by_transformers", False))


def take_apart(model: Any) -> None:
    """Let go of what the last forward pass left whole: the head, which no backward pass let go of.

    Without it the optimiser would be given the whole head, and train it apart from the one that is saved.
    """
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.reshard()


def put_together(model: Any, folder: str, *, is_first: bool, **loading: Any) -> Any:
    """A policy as it would be in one process, float32 on the CPU: of the first process, from the parts of all.

    Args:
        model: loaded by load_in_parts, perhaps with an adapter.
        folder: that it was loaded from.
        is_first: whether this is the first process.
        loading: for `lidr.weights.load_policy`.

    Returns:
        The policy; in the other processes `model`.
    """
    take_apart(model)
    if isinstance(model, PeftModel):
        if not is_first:
            return model
        whole = get_peft_model(load_policy(folder, **loading).float(), model.peft_config["default"])
        adapter = get_peft_model_state_dict(model, state_dict=adapter_weights(model))
        set_peft_model_state_dict(whole, {name: tensor.cpu() for name, tensor in adapter.items()})
        return whole
    weights = gather_full_state_dict(model)
    if not is_first:
        return model
    whole = load_policy(folder, **loading).float()
    whole.load_state_dict(weights)
    return whole


def adapter_weights(model: PeftModel) -> dict[str, torch.Tensor]:
    """Of a model in parts what every process has whole; asked for all, peft would put every weight together."""
    return {name: tensor for name, tensor in model.state_dict().items() if not isinstance(tensor, DTensor)}


def save_optimiser(trainer: Any, checkpoint: str) -> None:
    """Write the state of the optimiser and of the learning rate's schedule; each process its part of the first."""
    save_optimizer_distributed(trainer.model, trainer.optimizer.optimizer, str(Path(checkpoint) / _OPTIMISER))
    if trainer.is_world_process_zero():
        torch.save(trainer.lr_scheduler.state_dict(), Path(checkpoint) / _SCHEDULER)


def load_optimiser(trainer: Any, checkpoint: str) -> None:
    """Read what save_optimiser wrote."""
    load_optimizer_distributed(trainer.model, trainer.optimizer.optimizer, str(Path(checkpoint) / _OPTIMISER))
    trainer.lr_scheduler.load_state_dict(torch.load(Path(checkpoint) / _SCHEDULER, weights_only=True))


def load_weights(model: Any, checkpoint: str, *, is_first: bool) -> None:
    """Give a model in parts the weights of a checkpoint, which is a whole model's; the first process reads it."""
    take_apart(model)
    weights = load_policy(checkpoint, dtype="float32").state_dict() if is_first else {}
    set_model_state_dict(model, weights, options=StateDictOptions(full_state_dict=True, broadcast_from_rank0=True))
