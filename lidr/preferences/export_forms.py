"""Pairs in the form that a trainer reads, in a folder with their licence: what `lidr pairs export` writes.

    trl             pairs.parquet   prompt, chosen, rejected: message lists, the prompt explicit
    llama-factory   pairs.jsonl     ShareGPT ranking form: conversations, chosen and rejected one message each;
                                    dataset_info.json
    axolotl         pairs.jsonl     chat_template.default: messages, chosen and rejected one message each; axolotl.yaml
    open-instruct   pairs.jsonl     chosen and rejected: whole conversations, the prompt first
    jsonl           pairs.jsonl     every column of rows.Pair

    README.md                       what it is, how to train on it, whose it is; metadata that `datasets` loads by
    LICENSE.md                      where no single licence covers it
    lidr/export.json                source, commit, what was asked for, licence, rows, and how many could not be read

The rows stream through in batches, so memory does not grow with them.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from lidr.errors import HubError
from lidr.hub import HUGGING_FACE
from lidr.preferences.export_readme import readme
from lidr.preferences.export_switches import how_switched, with_comment
from lidr.preferences.mapped_rows import Mapped, weights_of
from lidr.preferences.pair_source import PairSource
from lidr.preferences.query import PairQuery
from lidr.preferences.read_pairs import (
    ROWS_PER_BATCH,
    Census,
    census,
    different_switches,
    pair_batches,
    unread_said,
)
from lidr.preferences.row_writers import Shape, write_rows
from lidr.release import HUB, dumps, licence_text, target_or_public
from lidr.rows import SWITCHES, WEIGHT, Pair, switched

if TYPE_CHECKING:
    import pyarrow as pa

_WEIGHED = "The column `weight` says how much a pair counts in training: lidr's `train` step reads it, others may not."
_NAMED = ("pair_id", "language", "other_language", "kind", "iteration", "margin")


@dataclass(frozen=True)
class Form:
    """What a trainer reads.

    Args:
        file: the file of rows.
        reads: columns of rows.Pair that it is made from.
        shape: those columns -> the columns of the file.
        how: how to train on it, for the README of the export, given the name of the set.
        beside: other files, by name, given the name of the set.
    """

    file: str
    reads: tuple[str, ...]
    shape: Shape
    how: Callable[[str], str]
    beside: Callable[[str], dict[str, str]] = lambda name: {}


@dataclass(frozen=True)
class Exported:
    """What was written."""

    folder: Path
    file: Path
    rows: int
    licence: str
    unread: dict[str, int]
    """How many rows of the source cannot be read as pairs, by reason."""
    switches: tuple[dict[str, Any], ...] = ()
    """The different `chat_template_kwargs` of the pairs; {} are pairs without any."""


def _as_is(batch: pa.RecordBatch) -> pa.RecordBatch:
    return batch


def _one_message(prompt: str) -> Shape:
    """The prompt under this name, and each side as the one message that it is: no copy of any text."""

    def shape(batch: pa.RecordBatch) -> pa.RecordBatch:
        import pyarrow as pa

        sides = [_answers(batch, side) for side in ("chosen", "rejected")]
        named = [batch[name] for name in _NAMED]
        return pa.record_batch([batch["prompt"], *sides, *named], names=[prompt, "chosen", "rejected", *_NAMED])

    return shape


def _answers(batch: pa.RecordBatch, side: str) -> pa.Array:
    import pyarrow.compute as pc

    is_one = pc.fill_null(pc.equal(pc.list_value_length(batch[side]), 1), False)
    if not pc.all(is_one).as_py():
        first = batch["pair_id"][pc.index(is_one, False).as_py()]
        raise HubError(f"{side} of {first}: a side of a pair is one message of the assistant")
    return pc.list_flatten(batch[side])


def _conversations(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Each side as the whole conversation: the prompt's messages, then its own."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    prompts = pc.list_flatten(batch["prompt"])
    lengths = pc.list_value_length(batch["prompt"]).to_numpy(zero_copy_only=False)
    ends = np.cumsum(lengths + 1)
    offsets = np.concatenate([[0], ends]).astype(np.int32)
    order = np.empty(len(prompts) + batch.num_rows, np.int64)
    is_answer = np.zeros(len(order), bool)
    is_answer[ends - 1] = True
    order[~is_answer] = np.arange(len(prompts))
    order[is_answer] = len(prompts) + np.arange(batch.num_rows)
    sides = []
    for side in ("chosen", "rejected"):
        turns = pa.concat_arrays([prompts, _answers(batch, side)]).take(pa.array(order))
        sides.append(pa.ListArray.from_arrays(pa.array(offsets), turns))
    return pa.record_batch([*sides, *(batch[name] for name in _NAMED)], names=["chosen", "rejected", *_NAMED])


def _dataset_info(name: str) -> dict[str, str]:
    tags = {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant"}
    entry = {
        "file_name": "pairs.jsonl",
        "formatting": "sharegpt",
        "ranking": True,
        "columns": {"messages": "conversations", "chosen": "chosen", "rejected": "rejected"},
        "tags": {**tags, "system_tag": "system"},
    }
    return {"dataset_info.json": json.dumps({name: entry}, indent=1) + "\n"}


def _axolotl(name: str) -> dict[str, str]:
    lines = ("rl: dpo", "datasets:", "  - path: pairs.jsonl", "    ds_type: json", "    split: train",
             "    type: chat_template.default", "    field_messages: messages", "    field_chosen: chosen",
             "    field_rejected: rejected", "    message_property_mappings: {role: role, content: content}",
             "    roles: {user: [user], assistant: [assistant], system: [system]}")  # fmt: skip
    return {"axolotl.yaml": "\n".join(lines) + "\n"}


_SIDES = ("prompt", "chosen", "rejected", *_NAMED)

_TRL = """\
```python
import torch
from datasets import load_dataset
from trl import DPOConfig, DPOTrainer

pairs = load_dataset("parquet", data_files="pairs.parquet", split="train")
settings = DPOConfig("policy", bf16=torch.cuda.is_available())
DPOTrainer("path/to/your-model", args=settings, train_dataset=pairs).train()
```"""
_AXOLOTL = (
    "`axolotl.yaml` holds the lines `rl` and `datasets` of a configuration; run axolotl in this folder. It takes the "
    "tokenizer's own template, unless your configuration has a line `chat_template`: leave that out."
)
_OPEN_INSTRUCT = """\
```sh
python open_instruct/dpo.py --mixer_list pairs.jsonl 1.0 --model_name_or_path path/to/your-model
```"""


def _llama_factory(name: str) -> str:
    settings = {"stage": "dpo", "dataset_dir": ".", "dataset": name}
    lines = yaml.safe_dump(settings, sort_keys=False, allow_unicode=True, width=1000)
    return f"```yaml\n{lines}```\n\n`dataset_dir` is this folder: it holds dataset_info.json."


FORMS: dict[str, Form] = {
    "trl": Form("pairs.parquet", _SIDES, _as_is, lambda name: _TRL),
    "llama-factory": Form("pairs.jsonl", _SIDES, _one_message("conversations"), _llama_factory, _dataset_info),
    "axolotl": Form("pairs.jsonl", _SIDES, _one_message("messages"), lambda name: _AXOLOTL, _axolotl),
    "open-instruct": Form("pairs.jsonl", _SIDES, _conversations, lambda name: _OPEN_INSTRUCT),
    "jsonl": Form(
        "pairs.jsonl",
        tuple(Pair.columns),
        _as_is,
        lambda name: "One JSON object a line, with every column of a pair.",
    ),
}
"""Trainer -> its form. What each documents of it is checked by the validators in tests/preferences/trainer_forms.py."""


def export_pairs(
    source: PairSource, wanted: PairQuery, to: str, out: Path, *, mapped: Mapped | None = None, name: str | None = None
) -> Exported:
    """Write the wanted pairs for a trainer; the folder is there whole or not at all.

    Args:
        source: from `open_pairs`.
        wanted: which of them.
        to: a key of FORMS.
        out: a folder that is not there yet, or is empty.
        mapped: how another's rows become pairs.
        name: what the trainer calls the set; None: from the source's name.

    Raises:
        HubError: the folder holds something, no pair is left, or the name is none.
        RowError: the pairs cannot be told by what is asked.
    """
    if name is not None and (not name.strip() or not name.isprintable() or "," in name):
        raise HubError(f"the name {name!r} cannot be a set's: write printable characters, no comma, on one line")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise HubError(f"{out} exists and is not empty; give another folder, or remove it first")
    source = _without_public_link(source.of_iterations(wanted.iterations))
    counted = census(source, wanted, mapped)
    found: list[dict[str, Any]] = []
    form = _with_switches(_with_weights(FORMS[to], source, mapped), source, mapped, found)
    with _unfinished(out) as folder:
        rows = write_rows(
            folder / form.file,
            form.shape,
            (wanted.of(b) for b in pair_batches(source, ROWS_PER_BATCH, form.reads, mapped)),
        )
        if not rows:
            why = f" ({unread_said(counted.unread)})" if counted.unread else ""
            raise HubError(f"{source.name}: no pair is left of what was asked for{why}; ask for less")
        called = name or "".join(c if c.isalnum() else "_" for c in source.name.split("/")[-1]).strip("_")
        _describe(folder, source, wanted, to, form, called, rows, counted, how_switched(to, found))
    return Exported(out, out / form.file, rows, source.licence.identifier, counted.unread, tuple(found))


def _with_weights(form: Form, source: PairSource, mapped: Mapped | None) -> Form:
    """The form with the column `weight`, where each pair says how much it counts."""
    if weights_of(source, mapped or Mapped()) is None:
        return form

    def shape(batch: pa.RecordBatch) -> pa.RecordBatch:
        return form.shape(batch.drop_columns([WEIGHT])).append_column(WEIGHT, batch[WEIGHT])

    return replace(form, reads=(*form.reads, WEIGHT), shape=shape)


def _with_switches(form: Form, source: PairSource, mapped: Mapped | None, found: list[dict[str, Any]]) -> Form:
    """The form with the column `chat_template_kwargs`, where the pairs were made with switches of a template; the
    different ones are told to `found`."""

    def shape(batch: pa.RecordBatch) -> pa.RecordBatch:
        import pyarrow as pa

        made = form.shape(batch.drop_columns([SWITCHES]) if SWITCHES in batch.schema.names else batch)
        if SWITCHES in batch.schema.names:
            found.extend(one for one in different_switches(batch[SWITCHES]) if one not in found)
            return made.append_column(SWITCHES, batch[SWITCHES])
        table = switched(pa.Table.from_batches([made]), source.switches)
        return table.combine_chunks().to_batches()[0]

    if source.switch_type is not None and (mapped is None or mapped.form is None):
        return replace(form, reads=(*form.reads, SWITCHES), shape=shape)
    found += [dict(source.switches)] * bool(source.switches)
    return replace(form, shape=shape) if source.switches else form


def _without_public_link(source: PairSource) -> PairSource:
    """A set of another Hub than huggingface.co may be another one there, or none: its name is not linked."""
    first, *others = source.parents
    if target_or_public().endpoint == HUGGING_FACE or not (first.link or "").startswith(f"{HUB}/datasets/"):
        return source
    return replace(source, parents=(replace(first, link=None), *others))


def _describe(
    folder: Path,
    source: PairSource,
    wanted: PairQuery,
    to: str,
    form: Form,
    name: str,
    rows: int,
    counted: Census,
    switched_by: str,
) -> None:
    """Everything beside the rows."""
    how = "\n\n".join(filter(None, (form.how(name), switched_by, _WEIGHED if WEIGHT in form.reads else "")))
    texts = {**form.beside(name), "README.md": readme(source, wanted, to, how, form.file, rows, counted)}
    if switched_by and "axolotl.yaml" in texts:
        texts["axolotl.yaml"] = with_comment(texts["axolotl.yaml"], switched_by)
    if source.licence.identifier == "other":
        texts["LICENSE.md"] = licence_text(source.licence, source.parents)
    facts = {
        "schema": 1,
        "to": to,
        "source": {"name": source.name, "config": source.config, "splits": list(source.splits)},
        "revision": source.revision,
        "wanted": asdict(wanted),
        "license": source.licence.identifier,
        "parents": [asdict(parent) for parent in source.parents],
        "unread": counted.unread,
        "file": {"path": form.file, "rows": rows, "bytes": (folder / form.file).stat().st_size},
    }
    (folder / "lidr").mkdir()
    texts["lidr/export.json"] = dumps(facts)
    for path, text in texts.items():
        (folder / path).write_text(text, encoding="utf-8")


@contextmanager
def _unfinished(out: Path) -> Iterator[Path]:
    """A folder beside `out` that takes its place at the end; gone when something failed."""
    folder = out.with_name(f".{out.name}.{os.getpid()}.partial")
    folder.mkdir(parents=True)
    try:
        yield folder
        if out.exists():
            out.rmdir()
        folder.rename(out)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
