"""The work folder of a run: what an interrupted run leaves so that the next one goes on.

    <work>/<digest of the run>/checkpoint-20/   TRL's checkpoints, the last two
                              /reference.json   the reference log-probabilities, computed once

The digest covers what changes the result and the contents of what is read, never a path: a run goes on only from its
own checkpoints, and a run with another learning rate starts afresh beside them.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

from lidr.train.tokens import TokenPair
from lidr.train.training_spec import TrainSpec

# Where and how it runs, not what comes out. The micro-batch is not among them: a checkpoint counts micro-batches.
_NO_IDENTITY = {
    *("policy", "initial", "pairs", "work", "model_out", "adapter_out", "policy_name"),
    *("over_long", "save_steps", "report_to", "threads", "gradient_checkpointing"),
}

# Settings that came later: at their default they change nothing, so runs that began without them go on.
_LATER = {"method": "dpo_nll", "sides": "as_built", "double_bos": False}


def run_folder(spec: TrainSpec, pairs: Sequence[TokenPair]) -> Path:
    """Name the folder of this run below spec.work, and create it."""
    given = {name: value for name, value in dataclasses.asdict(spec).items() if name not in _NO_IDENTITY}
    fields = {name: value for name, value in given.items() if name not in _LATER or value != _LATER[name]}
    identity = {
        "spec": fields,
        "policy": _weights(Path(spec.policy)),
        "initial": _weights(Path(spec.initial)) if spec.reference == "initial" else None,
        "pairs": [(pair.pair_id, pair.prompt_ids, pair.chosen_ids, pair.rejected_ids) for pair in pairs],
    }
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]
    folder = Path(spec.work) / digest
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def last_checkpoint(folder: Path) -> Path | None:
    """Find the newest whole checkpoint, and remove half-written ones: trainer_state.json is written last."""
    whole: list[Path] = []
    for path in folder.glob("checkpoint-*"):
        if _is_json(path / "trainer_state.json"):
            whole.append(path)
        else:
            shutil.rmtree(path)
    return max(whole, key=lambda path: int(path.name.removeprefix("checkpoint-")), default=None)


def write_reference(path: Path, chosen: Iterable[float], rejected: Iterable[float]) -> None:
    """Keep the reference log-probabilities, nats, one per pair in the order of the pairs; atomically and exactly."""
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps({"chosen": list(chosen), "rejected": list(rejected)}), encoding="utf-8")
    partial.replace(path)


def read_reference(path: Path) -> tuple[list[float], list[float]] | None:
    """Read what write_reference kept; None if nothing was."""
    if not path.exists():
        return None
    kept = json.loads(path.read_text(encoding="utf-8"))
    return kept["chosen"], kept["rejected"]


def _weights(folder: Path) -> list[tuple[str, int, int]]:
    """Tell one model from another without reading gigabytes: names, sizes and times of its weight files."""
    files = sorted(folder.glob("*.safetensors"))
    return [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files]


def _is_json(path: Path) -> bool:
    try:
        json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return True
