"""The files of a sharded model: an index names them, and one that is missing is named here. No torch."""

from __future__ import annotations

import json
from pathlib import Path

INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"


_PICKLED = ("*.bin", "*.pt", "*.pth")


def missing_weights(folder: Path) -> str | None:
    """Why a folder has no weights that lidr reads; None where it has."""
    if any(folder.glob("*.safetensors")):
        return None
    if pickled := sorted(path.name for ending in _PICKLED for path in folder.glob(ending)):
        return f"{folder}: no *.safetensors file; lidr loads no pickled weights ({pickled[0]}): convert them first"
    return f"{folder}: no weights (*.safetensors) beside its config.json: download the model whole, or save it again"


def missing_shards(folder: Path) -> str | None:
    """What is wrong with the files of weights that an index names; None where all are there, or there is no index.

    transformers says of a missing shard that it found no model, or names a path in its cache.
    """
    index = folder / INDEX
    if not index.is_file() or (folder / SINGLE).is_file():  # which is read where both are there
        return None
    try:
        names = sorted({str(name) for name in json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()})
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        return (
            f"{index} is no index of weights ({type(error).__name__}: {error}): save the model, or download it, again"
        )
    missing = [name for name in names if not (folder / name).is_file()]
    if not missing:
        return None
    some = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
    return (
        f"{folder}: {len(missing)} of {len(names)} files of weights that {INDEX} names are missing ({some}): download "
        "the model again"
    )
