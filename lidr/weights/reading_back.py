"""A saved model against the one in memory, before anybody calls it done: names, shapes, types, values, logits."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lidr.weights.loading import load_policy
from lidr.weights.quantised import quantised_by
from lidr.weights.saving import tensors_in

# Of the largest logit. Both sides do the same arithmetic with the same numbers; what differs is the order of sums.
_TOLERANCE = {"float32": 1e-3, "bfloat16": 3e-2, "float16": 1e-2}
_FORMATS = {"float32": "F32", "bfloat16": "BF16", "float16": "F16"}


@dataclass(frozen=True)
class ReadBack:
    """What a saved folder was found to be.

    Args:
        wrong: the first thing that differs, for people; None: nothing does.
        tensors: how many were compared, each number of them.
        difference: the largest one between two logits of the prompts; None where none were asked.
    """

    wrong: str | None
    tensors: int = 0
    difference: float | None = None


def read_back(
    folder: Path,
    model: Any,
    prompts: Sequence[Sequence[int]],
    *,
    dtype: str,
    carried: Collection[str] = (),
    trust_remote_code: bool = False,
) -> ReadBack:
    """Load what was saved and compare it with the model that was.

    Args:
        folder: what was saved, with its config.json.
        model: in memory, on the CPU, in `dtype`.
        prompts: token ids, of which the logits are compared.
        dtype: that was to be saved.
        carried: names of tensors that were taken from the base as they are.
        trust_remote_code: run code that comes with it.
    """
    if (method := quantised_by(folder)) is not None:
        return ReadBack(f"config.json says that the weights are packed ({method})")
    files = tensors_in(folder)
    for name, (file, kind, _) in files.items():
        if name not in carried and kind.startswith(("F", "BF")) and kind != _FORMATS[dtype]:
            return ReadBack(f"{name} is {kind} in {file.name}; {_FORMATS[dtype]} was to be saved")
    saved, info = load_policy(folder, dtype="auto", trust_remote_code=trust_remote_code, output_loading_info=True)
    if missing := sorted(info["missing_keys"]):
        return ReadBack(f"{len(missing)} tensors are in none of its files, the first {missing[0]}")
    if unknown := sorted(set(info["unexpected_keys"]) - set(carried)):
        return ReadBack(f"{len(unknown)} tensors in its files belong to no part of the model, the first {unknown[0]}")
    if (wrong := _differs(saved.state_dict(), model.state_dict())) is not None:
        return ReadBack(wrong)
    ours, theirs = ([logits(one, ids) for ids in prompts] for one in (model, saved))
    is_wrong, found = (
        logits_differ(theirs, ours, dtype=dtype, is_mixture=is_mixture(model)) if prompts else (False, None)
    )
    if is_wrong:
        return ReadBack(f"the logits of {len(prompts)} prompts differ from those in memory, by up to {found:.3g}")
    return ReadBack(None, len(model.state_dict()), found)


def _differs(saved: dict[str, Any], ours: dict[str, Any]) -> str | None:
    """The first tensor that is not the same on both sides. Modules that are kept in float32 when loaded hold the same
    numbers in another format."""
    import torch

    if alone := sorted(set(ours) ^ set(saved)):
        where = "in memory alone" if alone[0] in ours else "in the saved model alone"
        return f"{len(alone)} tensors are on one side only; {alone[0]} is {where}"
    for name, tensor in ours.items():
        other = saved[name]
        if other.shape != tensor.shape:
            return f"{name} has the shape {[*other.shape]} and had {[*tensor.shape]}"
        if not torch.equal(other.to(tensor.dtype), tensor):
            return f"{name} holds other numbers than were saved"
    return None


def logits(model: Any, ids: Sequence[int]) -> Any:
    """Of a prompt: (1, tokens, vocabulary), float32, on the CPU; the model is switched to evaluation."""
    import torch

    with torch.no_grad():
        return model.eval()(input_ids=torch.tensor([[*ids]], device=model.device)).logits.float().cpu()


def logits_differ(
    ones: Sequence[Any], others: Sequence[Any], *, dtype: str = "float32", is_mixture: bool = False
) -> tuple[bool, float]:
    """Whether logits of the same prompts differ by more than the arithmetic of a number format explains.

    Args:
        ones, others: of each prompt (1, tokens, vocabulary).
        dtype: of the arithmetic.
        is_mixture: of experts, in which a rounding may send a token to another expert: then it is not enough that some
            positions differ, half of them must.

    Returns:
        Whether they do, and their largest difference.
    """
    import torch

    gaps = torch.cat([(one - other).abs().amax(dim=-1).flatten() for one, other in zip(ones, others, strict=True)])
    most = _TOLERANCE[dtype] * max(1.0, *(float(other.abs().max()) for other in others))
    far = float((~(gaps <= most)).float().mean())  # not a number is far
    return far > (0.5 if is_mixture else 0.0), float(gaps.max())


def is_mixture(model: Any) -> bool:
    """Whether a model has experts to choose from."""
    return any("expert" in name for name in model.config.get_text_config().to_dict())
