"""Weights written under the names of the folder that they come from, with the parts of it that were not loaded.

A language model that was loaded out of a wrapper is written back as the wrapper: its vision tower, and layers that
predict several tokens at once, are carried over as they are, so that config.json and files agree for every tool.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lidr.errors import EngineError
from lidr.weights.shards import INDEX, SINGLE

_SHARD = "5GB"  # what the Hub recommends, and what huggingface_hub splits by
_NUMBERS = ("F64", "F32", "F16", "BF16")


def save_weights(model: Any, base: Path, folder: Path) -> tuple[str, ...]:
    """Write a model's weights, and those of `base` that it does not hold.

    Args:
        model: plain, on the CPU.
        base: the folder that it was loaded from.
        folder: exists; receives safetensors, and a config.json that the caller replaces by `base`'s own.

    Returns:
        Names of the tensors that were carried over.

    Raises:
        EngineError: a part of `base` that would have to be carried over is packed.
    """
    model.save_pretrained(folder, max_shard_size=_SHARD)
    # Trainers write a padding token and the like into it: the base's own is kept instead.
    (folder / "generation_config.json").unlink(missing_ok=True)
    carried = _not_held(tensors_in(base), {*tensors_in(folder), *model.state_dict()})
    if carried:
        _add(carried, base, folder)
    return tuple(sorted(carried))


def round_to(model: Any, dtype: Any) -> None:
    """Turn all that is saved of a model into a number format, and nothing else.

    `model.to(dtype)` would round what is computed anew at each loading, too: the frequencies of positions, which every
    loader holds in float32.
    """
    saved = set(model.state_dict())
    computed = [
        (module, own, buffer)
        for name, module in model.named_modules()
        for own, buffer in module._buffers.items()
        if f"{name}.{own}".removeprefix(".") not in saved
    ]
    model.to(dtype)
    for module, own, buffer in computed:
        module._buffers[own] = buffer


def without_quantization(config: dict[str, Any]) -> dict[str, Any]:
    """A config.json without what it says of packed weights, in its nested parts too."""
    packed = ("quantization_config", "compression_config")
    return {
        name: without_quantization(value) if isinstance(value, dict) else value
        for name, value in config.items()
        if name not in packed
    }


def tensors_in(folder: Path) -> dict[str, tuple[Path, str, tuple[int, ...]]]:
    """Name of each tensor -> its file, number format and shape, from the headers of a folder's safetensors."""
    from safetensors import safe_open

    found = {}
    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, framework="pt") as opened:
            for name in opened.keys():  # noqa: SIM118  # no mapping
                part = opened.get_slice(name)
                found[name] = (file, part.get_dtype(), tuple(part.get_shape()))
    return found


def _not_held(base: dict[str, tuple[Path, str, tuple[int, ...]]], held: set[str]) -> dict[str, Path]:
    """Tensors of modules of which the model holds nothing at all -> their file.

    A tensor beside others that are held is no part of its own: scales of packed weights, a tied head, old buffers.
    """
    modules = {name[:at] for name in held for at, sign in enumerate(name) if sign == "."}
    left = {}
    for name, (file, kind, _) in base.items():
        module = name.rpartition(".")[0]
        if name in held or module in modules or module.endswith("rotary_emb"):
            continue
        if kind not in _NUMBERS:
            raise EngineError(
                f"{file.parent}: {name} belongs to a part beside the language model and is packed ({kind}); give the "
                "same model in bfloat16"
            )
        left[name] = file
    return left


def _add(carried: dict[str, Path], base: Path, folder: Path) -> None:
    """Put tensors of `base` into one more file of weights, and name all files anew in one index."""
    from safetensors import safe_open
    from safetensors.torch import save_file

    files = sorted(folder.glob("*.safetensors"))
    count = len(files) + 1
    names = [f"model-{number:05}-of-{count:05}.safetensors" for number in range(1, count + 1)]
    for file, name in zip(files, names[:-1], strict=True):
        file.rename(folder / f".{name}")  # first aside: a new name may be an old one
    for name in names[:-1]:
        (folder / f".{name}").rename(folder / name)
    tensors = {}
    for file in sorted(set(carried.values())):
        with safe_open(file, framework="pt") as opened:
            tensors.update({name: opened.get_tensor(name) for name, where in carried.items() if where == file})
    save_file(tensors, folder / names[-1], metadata={"format": "pt"})
    sizes = {file.name: file.stat().st_size for file in folder.glob("*.safetensors")}
    where = {name: file.name for name, (file, _, _) in tensors_in(folder).items()}
    index = {"metadata": {"total_size": sum(sizes.values())}, "weight_map": where}
    (folder / INDEX).write_text(json.dumps(index, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    (folder / SINGLE).unlink(missing_ok=True)
