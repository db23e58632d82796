"""Merge an adapter into its base with peft, in a worker process; what peft gets wrong on tied weights is taken apart.

    merge_adapter(base, adapter, out, log=log)     Merged(shift=3.2, notes=("the tokenizer that stands ...",))

Of tied weights (the embedding is also the head) an adapter often changes one side alone: `modules_to_save: [lm_head]`,
or a LoRA on the embedding. peft then adds both changes to the one tensor that they share. Here the two are separated
first; where they are still equal after merging, they are tied again.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lidr.engines.chat import ChatTokenizer
from lidr.engines.merging.adapter_folder import AdapterFolder
from lidr.engines.merging.adapter_rows import embedding_rows, is_tied, resize
from lidr.engines.merging.beside_adapter import bring_tokenizer
from lidr.engines.merging.over_base import PROBE, put_over, trained_over, without_effect
from lidr.engines.model_folder import ModelFolder
from lidr.errors import EngineError, LidrError
from lidr.extras import require
from lidr.weights import (
    is_mixture,
    load_policy,
    logits,
    logits_differ,
    read_back,
    read_model_json,
    round_to,
    save_weights,
    without_quantization,
)
from lidr.worker import Worker, serve

MERGE_RULES = 1
"""Goes up where the same base and adapter give another folder: what keeps merged folders keeps it in their names."""

_FACTS = "lidr_adapter.json"
_MISMATCH = re.compile(r"size mismatch for (\S+): copying a param with shape torch\.Size\((\[[\d, ]*\])\) from "
                       r"checkpoint, the shape in current model is torch\.Size\((\[[\d, ]*\])\)")  # fmt: skip
_CARRIED = ("LICENSE*", "generation_config.json", "preprocessor_config.json", "processor_config.json")


@dataclass(frozen=True)
class Merged:
    """What is known of a merged folder.

    Args:
        shift: the largest change that the adapter makes to a logit of a fixed prompt, nats; None where it changes only
            tokens that it adds.
        notes: what a person should know: whose tokenizer is used, what was resized, untied or ignored.
    """

    shift: float | None
    notes: tuple[str, ...]


def merge_adapter(base: Path, adapter: Path, out: Path, *, log: Path, trust_remote_code: bool = False) -> Merged:
    """Write base and adapter as one plain model folder.

    Args:
        base: a model folder.
        adapter: a folder as peft saves it; lidr loads safetensors alone.
        out: appears when it is complete, and must not exist.
        log: receives, appended, what the worker prints.
        trust_remote_code: run code that comes with the base; code beside an adapter is never run.

    Raises:
        EngineError: what is refused, by name: see AdapterFolder.check; shapes or modules that the base has not, tokens
            without rows, an adapter that changes nothing, a quantised base, a folder that exists.
        MissingExtraError: torch, transformers or peft is not installed.
    """
    AdapterFolder(adapter).check()
    ModelFolder(base).check()
    require("train", ("torch", "transformers", "peft"), needed_for="merging an adapter")
    with Worker("lidr.engines.merging.merge_worker", log=log) as worker:
        folders = {"base": base, "adapter": adapter, "out": out}
        worker.send({name: str(path.absolute()) for name, path in folders.items()} | {"trusted": trust_remote_code})
        for _ in worker.replies():
            pass
    found = read_merged(out)
    assert found is not None
    return found


def read_merged(folder: Path) -> Merged | None:
    """What `merge_adapter` wrote of a folder; None where it made none."""
    try:
        found = json.loads((folder / _FACTS).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return Merged(found["shift"], tuple(found["notes"]))


def merge_here(base: Path, adapter: Path, out: Path, *, trusted: bool = False) -> None:
    """Merge in this process: see `merge_adapter`."""
    AdapterFolder(adapter).check()
    ModelFolder(base).check()
    if out.exists():
        raise EngineError(f"{out} exists already; a model folder is not written over: remove it or choose another")
    unfinished = out.with_name(f".{out.name}.unfinished-{os.getpid()}")
    unfinished.mkdir(parents=True)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # peft's, of tied weights: taken apart below
            _write(base, AdapterFolder(adapter), unfinished, trusted)
        unfinished.rename(out)
    except LidrError:
        raise
    except Exception as error:  # peft raises whatever it stumbles over
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the disk's
        said = _MISMATCH.search(str(error))
        why = f"{said[1]} is {said[2]} in the adapter and {said[3]} in the base" if said else _first_line(error)
        raise EngineError(
            f"the adapter {adapter} does not fit over {base}: {why}; {trained_over(AdapterFolder(adapter))}"
        ) from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else ''}"


def _write(base: Path, adapter: AdapterFolder, folder: Path, trusted: bool) -> None:
    from transformers import AutoTokenizer

    notes = bring_tokenizer(base, adapter.path, folder)
    model = load_policy(base, trust_remote_code=trusted)
    dtype, config = model.dtype, model.config.to_dict()
    model.float().eval()
    shutil.copyfile(base / "config.json", folder / "config.json")  # some tokenizers ask it for their class
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=trusted)
    rows = embedding_rows(model)
    probe = _probe(tokenizer, rows, adapter)
    before = logits(model, probe)
    new_rows, said = resize(model, adapter, tokenizer)
    tied = is_tied(model)
    over = put_over(model, adapter, tied=tied)
    during = logits(over, probe)
    width = min(before.shape[-1], during.shape[-1])
    shift = float((during[..., :width] - before[..., :width]).abs().max())
    if not shift > 0 and not new_rows:
        raise without_effect(adapter, base)
    _untie(over)
    plain = over.merge_and_unload()
    _check_same(during, logits(plain, probe), adapter, is_mixture(plain))
    said += _tie_again(plain) if tied else []
    round_to(plain, dtype)
    named = str(dtype).removeprefix("torch.")
    carried = save_weights(plain, base, folder)
    _write_config(base, folder, plain.config.to_dict(), config, dtype=named)
    _carry_over(base, folder, trusted)
    _write_ends(base, folder, tokenizer)
    found = read_back(folder, plain, [probe], dtype=named, carried=carried, trust_remote_code=trusted)
    if found.wrong:
        raise EngineError(
            f"{base} with {adapter.path} was merged, saved and read back, and is not what was merged: {found.wrong}; "
            f"its kind of model ({plain.config.model_type}) cannot be saved by this transformers"
        )
    facts = {"shift": shift if shift > 0 else None, "notes": [*notes, *said]}
    (folder / _FACTS).write_text(json.dumps(facts, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def _probe(tokenizer: Any, rows: int, adapter: AdapterFolder) -> list[int]:
    """Token ids that the base knows, among them those that the adapter trains."""
    trained = [token for tokens in adapter.trained_tokens.values() for token in tokens][:64]
    ids = [*tokenizer(PROBE, add_special_tokens=False)["input_ids"], *trained]
    return [token for token in ids if token < rows] or [0]


def _untie(over: Any) -> None:
    """Give the head a tensor of its own where it shares the embedding's, below whatever peft has put around both."""
    import torch

    seen: dict[int, Any] = {}
    for module in over.modules():
        weight = module._parameters.get("weight")
        if weight is None:
            continue
        if id(weight) in seen and seen[id(weight)] is not module:
            module.weight = torch.nn.Parameter(weight.detach().clone(), requires_grad=False)
        else:
            seen[id(weight)] = module


def _check_same(during: Any, after: Any, adapter: AdapterFolder, has_experts: bool) -> None:
    """The merged model must say what the adapter over its base says.

    Raises:
        EngineError: it does not.
    """
    is_other, error = logits_differ([after], [during], is_mixture=has_experts)
    if is_other:
        raise EngineError(
            f"{adapter.path}: peft_type {adapter.kind} with these settings cannot be merged: the merged model's logits "
            f"differ by {error:.3g} from those of the adapter over its base"
        )


def _tie_again(plain: Any) -> list[str]:
    """Tie head and embedding where they are still equal; else say that they are two."""
    import torch

    embedding, head = plain.get_input_embeddings(), plain.get_output_embeddings()
    is_one = torch.equal(embedding.weight, head.weight)
    if is_one:
        head.weight = embedding.weight
    for config in (plain.config, plain.config.get_text_config()):
        config.tie_word_embeddings = is_one
    if is_one:
        return []
    return ["the adapter changes one of two tied tensors (embedding and head): the merged model has them apart"]


def _write_config(base: Path, folder: Path, now: dict[str, Any], was: dict[str, Any], *, dtype: str) -> None:
    """The base's own config.json, with what merging changed in it: rows, ties, layers."""
    config = without_quantization(json.loads((base / "config.json").read_text(encoding="utf-8")))
    config.pop("torch_dtype", None)
    _update(config, was, now)
    (folder / "config.json").write_text(
        json.dumps({**config, "dtype": dtype}, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8"
    )


def _update(config: dict[str, Any], was: dict[str, Any], now: dict[str, Any]) -> None:
    for name, value in now.items():
        if was.get(name) == value or name in ("dtype", "torch_dtype", "_name_or_path", "transformers_version"):
            continue
        inner, before = config.get(name), was.get(name)
        if isinstance(inner, dict) and isinstance(before, dict) and isinstance(value, dict):
            _update(inner, before, value)
        else:
            config[name] = value


def _carry_over(base: Path, folder: Path, trusted: bool) -> None:
    """Licence, processor and, where it is trusted, code of the base."""
    for pattern in (*_CARRIED, *(("*.py",) if trusted else ())):
        for path in sorted(base.glob(pattern)):
            shutil.copyfile(path, folder / path.name)


def _write_ends(base: Path, folder: Path, tokenizer: Any) -> None:
    """Name every token that ends an answer: the base's, the tokenizer's, and the template's end of a turn."""
    known = ModelFolder(base).end_ids()
    ends = known | ({tokenizer.eos_token_id} - {None})
    if tokenizer.chat_template is not None:
        with contextlib.suppress(ValueError, EngineError):  # a template that shows no assistant's turn ends none
            ends |= {ChatTokenizer(tokenizer, model=str(folder)).end_of_turn()} - {None}
    if ends == known:
        return
    file = folder / "generation_config.json"
    config = read_model_json(file)
    text = json.dumps({**config, "eos_token_id": sorted(ends)}, indent=2, sort_keys=True, ensure_ascii=False)
    file.write_text(text + "\n", encoding="utf-8")


def _handle(message: dict[str, Any]) -> Iterator[dict[str, Any]]:
    folders = (Path(message[name]) for name in ("base", "adapter", "out"))
    merge_here(*folders, trusted=message["trusted"])
    return iter(())


if __name__ == "__main__":
    serve(_handle)
