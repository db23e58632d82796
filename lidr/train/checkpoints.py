"""The work folder of a run: what an interrupted run leaves so that the next one goes on.

    <work>/<digest of the run>/checkpoint-20/   TRL's checkpoints, the last two, each with a manifest of its files
                              /reference.json   the reference log-probabilities, computed once, with their checksum

With pairs kept aside there are `reference-eval.json`, of these, and `best.safetensors`, the trained weights at the best
look so far (lidr.train.aside); each checkpoint holds those that were the best when it was written.

The digest covers what changes the result and the contents of what is read, never a path: a run goes on only from its
own checkpoints, and a run with another learning rate starts afresh beside them.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
from array import array
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from lidr.train.tokens import TokenPair
from lidr.train.training_spec import TrainSpec
from lidr.train.trl_options import result_options

# Where and how it runs, not what comes out. The micro-batch is not among them: a checkpoint counts micro-batches.
_NO_IDENTITY = {
    *("policy", "initial", "pairs", "work", "model_out", "adapter_out", "policy_name"),
    *("over_long", "save_steps", "report_to", "threads", "gradient_checkpointing", "processes"),
}

# Settings that came later: at their default they change nothing, so runs that began without them go on.
_LATER = {
    **{"method": "dpo_nll", "sides": "as_built", "double_bos": False, "form": {"template": "", "closes": ""}},
    **{"quantization": None, "attn_implementation": None, "trl": {}, "loss": "sigmoid", "label_smoothing": 0.0},
    "sharding": "none",  # of what a checkpoint holds, not of what comes out
    "held_out": None,
}


MANIFEST = "lidr.manifest.json"
"""In a checkpoint: path -> SHA-256 of each of its files."""


def run_folder(spec: TrainSpec, pairs: Iterable[TokenPair]) -> Path:
    """Name the folder of this run below spec.work, and create it. `pairs`: all, also those that are kept aside."""
    given = {name: value for name, value in dataclasses.asdict(spec).items() if name not in _NO_IDENTITY}
    given["trl"] = result_options(spec.trl)
    fields = {name: value for name, value in given.items() if name not in _LATER or value != _LATER[name]}
    identity = {
        "spec": fields,
        "policy": _weights(Path(spec.policy)),
        "initial": _weights(Path(spec.initial)) if spec.reference == "initial" else None,
        "pairs": [],
    }
    folder = Path(spec.work) / _digest(identity, pairs)[:16]
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _digest(identity: Mapping[str, object], pairs: Iterable[TokenPair]) -> str:
    """SHA-256 of the identity as JSON, with the pairs in it, of which one is held at a time; then of the weights, where
    some pair does not count 1.
    """
    weights = array("d")
    before, after = json.dumps(identity, sort_keys=True).split('"pairs": []')
    digest = hashlib.sha256(f'{before}"pairs": ['.encode())
    for number, pair in enumerate(pairs):
        row = json.dumps((pair.pair_id, pair.prompt_ids, pair.chosen_ids, pair.rejected_ids))
        digest.update(f"{', ' if number else ''}{row}".encode())
        weights.append(pair.weight)
    digest.update(f"]{after}".encode())
    if any(weight != 1.0 for weight in weights):
        digest.update(json.dumps([*weights]).encode())
    return digest.hexdigest()


def seal(checkpoint: Path) -> None:
    """Write the manifest of a checkpoint that is complete: each file's SHA-256. Atomically, and last."""
    files = {path.relative_to(checkpoint).as_posix(): _sha256(path) for path in _files(checkpoint)}
    partial = checkpoint / f"{MANIFEST}.partial"
    partial.write_text(json.dumps(files, indent=1), encoding="utf-8")
    partial.replace(checkpoint / MANIFEST)


def last_checkpoint(folder: Path, say: Callable[[str], None] = lambda text: None) -> Path | None:
    """Find the newest checkpoint whose files are those of its manifest, and remove newer ones.

    Args:
        folder: of the run.
        say: told of each that is not gone on from, and why.
    """
    for path in sorted(folder.glob("checkpoint-*"), key=lambda path: -int(path.name.removeprefix("checkpoint-"))):
        if (wrong := _wrong_with(path)) is None:
            return path
        say(f"{path.name} is not gone on from: {wrong}")
        shutil.rmtree(path)
    return None


def _wrong_with(checkpoint: Path) -> str | None:
    try:
        files = json.loads((checkpoint / MANIFEST).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return "it was not written to its end, or by an earlier lidr, which wrote no manifest"
    except (ValueError, RecursionError):
        return f"its {MANIFEST} is damaged"
    there = {path.relative_to(checkpoint).as_posix(): path for path in _files(checkpoint)}
    if not isinstance(files, dict) or {*files} != {*there}:
        return f"its files are not those that {MANIFEST} names"
    changed = [name for name, path in there.items() if _sha256(path) != files[name]]
    return f"{changed[0]} has changed since it was written" if changed else None


def _files(checkpoint: Path) -> list[Path]:
    found = (path for path in checkpoint.rglob("*") if path.is_file())
    return sorted(path for path in found if not path.name.startswith(MANIFEST))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_reference(path: Path, chosen: Iterable[float], rejected: Iterable[float]) -> None:
    """Keep the reference log-probabilities, nats, one per pair in the order of the pairs; atomically and exactly."""
    partial = path.with_name(path.name + ".partial")
    values = {"chosen": list(chosen), "rejected": list(rejected)}
    partial.write_text(json.dumps({**values, "checksum": _checksum(values)}), encoding="utf-8")
    partial.replace(path)


def read_reference(path: Path) -> tuple[list[float], list[float]] | None:
    """Read what write_reference kept; None if nothing was, or it is not as it was written: it is computed again."""
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        values = {"chosen": kept["chosen"], "rejected": kept["rejected"]}
        is_whole = kept["checksum"] == _checksum(values)
    except (FileNotFoundError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return (values["chosen"], values["rejected"]) if is_whole else None


def _checksum(values: dict[str, list[float]]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def _weights(folder: Path) -> list[tuple[str, int, int]]:
    """Tell one model from another without reading gigabytes: names, sizes and times of its weight files."""
    files = sorted(folder.glob("*.safetensors"))
    return [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files]
