"""What trainers document of their preference data, as validators: each gives the problems that it finds.

Written from, and to be compared again with:

    llama-factory   hiyouga/LLaMA-Factory, data/README.md, "Sharegpt Format: Preference Dataset" and "OpenAI Format"
    axolotl         axolotl-ai-cloud/axolotl, docs/rlhf.qmd, "DPO: chat_template.default"
    open-instruct   allenai/open-instruct, open_instruct/dataset_transformation.py, the docstring of
                    preference_tulu_tokenize_and_truncate_v1; docs/algorithms/dpo.md for --mixer_list
    trl             huggingface/trl, docs/source/dataset_formats.md, "Preference", explicit prompt, conversational
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import yaml

Row = dict[str, Any]


def rows_of(path: Path) -> list[dict[str, Any]]:
    if path.suffix == ".parquet":
        return pl.read_parquet(path).to_dicts()
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def is_message(value: Any, roles: tuple[str, ...]) -> bool:
    return (
        isinstance(value, dict)
        and value.get("role") in roles
        and isinstance(value.get("content"), str)
        and bool(value["content"].strip())
    )


def problems_of_prompt(messages: Any) -> Iterator[str]:
    """An optional system message first, then user and assistant in turn, the last one the user's."""
    if not isinstance(messages, list) or not messages:
        yield f"the prompt is no list of messages: {messages!r}"
        return
    turns = messages[1:] if messages[0].get("role") == "system" else messages
    wanted = ["user", "assistant"] * len(turns)
    if [turn.get("role") for turn in turns] != wanted[: len(turns)] or len(turns) % 2 == 0:
        yield f"roles {[turn.get('role') for turn in messages]}: user and assistant take turns, the user last"
    if not all(is_message(turn, ("system", "user", "assistant")) for turn in messages):
        yield f"a message has no text: {messages!r}"


def trl(folder: Path) -> Iterator[str]:
    for row in rows_of(folder / "pairs.parquet"):
        yield from problems_of_prompt(row["prompt"])
        for side in ("chosen", "rejected"):
            if not (isinstance(row[side], list) and len(row[side]) == 1 and is_message(row[side][0], ("assistant",))):
                yield f"{side} is no list of one message of the assistant: {row[side]!r}"


def llama_factory(folder: Path) -> Iterator[str]:
    for name, entry in json.loads((folder / "dataset_info.json").read_text(encoding="utf-8")).items():
        file = folder / entry["file_name"]
        if not file.is_file() or file.suffix not in (".json", ".jsonl", ".parquet", ".arrow", ".csv"):
            yield f"{name}: no such file {file.name}"
        if entry.get("formatting") != "sharegpt" or entry.get("ranking") is not True:
            yield f"{name}: not declared as ranking pairs of the sharegpt format"
        tags = {"role_tag": "from", "content_tag": "value", "user_tag": "human", "assistant_tag": "gpt",
                "system_tag": "system"} | entry.get("tags", {})  # fmt: skip
        columns = {"messages": "conversations"} | entry["columns"]
        back = {tags["user_tag"]: "user", tags["assistant_tag"]: "assistant", tags["system_tag"]: "system"}

        def plain(turn: Any, tags: dict[str, str] = tags, back: dict[str, str] = back) -> dict[str, Any]:
            return {"role": back.get(turn.get(tags["role_tag"])), "content": turn.get(tags["content_tag"])}

        for row in rows_of(file):
            yield from problems_of_prompt([plain(turn) for turn in row[columns["messages"]]])
            for side in ("chosen", "rejected"):
                answer = row[columns[side]]
                if not isinstance(answer, dict) or not is_message(plain(answer), ("assistant",)):
                    yield f"{side} is not one message: LLaMA-Factory would train it as no preference: {answer!r}"


def axolotl(folder: Path) -> Iterator[str]:
    config = yaml.safe_load((folder / "axolotl.yaml").read_text(encoding="utf-8"))
    if config.get("rl") != "dpo":
        yield "rl is not dpo"
    (entry,) = config["datasets"]
    if entry["type"] != "chat_template.default":
        yield f"type {entry['type']}"
    keys, roles = entry["message_property_mappings"], entry["roles"]
    known = {name: role for role, names in roles.items() for name in names}

    def plain(turn: dict[str, Any]) -> dict[str, Any]:
        return {"role": known.get(turn.get(keys["role"])), "content": turn.get(keys["content"])}

    for row in rows_of(folder / entry["path"]):
        yield from problems_of_prompt([plain(turn) for turn in row[entry["field_messages"]]])
        for side in ("field_chosen", "field_rejected"):
            answer = row[entry[side]]
            if not isinstance(answer, dict) or not is_message(plain(answer), ("assistant",)):
                yield f"{entry[side]} is not one message of the assistant: {answer!r}"


def open_instruct(folder: Path) -> Iterator[str]:
    for row in rows_of(folder / "pairs.jsonl"):
        chosen, rejected = row["chosen"], row["rejected"]
        if not chosen or not rejected:
            yield "an empty side"
            continue
        if chosen[:-1] != rejected[:-1]:
            yield f"more than the last message differs: {row!r}"
        yield from problems_of_prompt(chosen[:-1])
        if not (is_message(chosen[-1], ("assistant",)) and is_message(rejected[-1], ("assistant",))):
            yield f"the last message is not the assistant's: {row!r}"


VALIDATORS: dict[str, Callable[[Path], Iterator[str]]] = {
    "trl": trl,
    "llama-factory": llama_factory,
    "axolotl": axolotl,
    "open-instruct": open_instruct,
}


def _two_answers(row: Row) -> Row:
    return {**row, "chosen": row["chosen"] * 2}


def _listed(row: Row) -> Row:
    return {**row, "chosen": [row["chosen"]]}


def _emptied(row: Row) -> Row:
    return {**row, "rejected": []}


SPOILT: dict[str, Callable[[Row], Row]] = {
    "trl": _two_answers,
    "llama-factory": _listed,
    "axolotl": _listed,
    "open-instruct": _emptied,
}
"""A row -> one that the validator must find wrong."""
