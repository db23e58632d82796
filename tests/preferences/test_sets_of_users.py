"""Sets in the forms of TRL, Alpaca, ShareGPT and UltraFeedback, and files that are none: read, dropped, or refused."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import lidr
from lidr.errors import LidrError

Turn = dict[str, Any]


def said(role: str, content: Any, **more: Any) -> Turn:
    return {"role": role, "content": content, **more}


def from_(speaker: str, value: str) -> Turn:
    return {"from": speaker, "value": value}


HI, HELLO, NO = said("user", "Hi"), said("assistant", "Hello."), said("assistant", "No.")
TALK = {"prompt": [HI], "chosen": [HELLO], "rejected": [NO]}
SHARED = {"conversations": [from_("human", "Hi")], "chosen": from_("gpt", "Hello."), "rejected": from_("gpt", "No.")}
TEXT = {"prompt": "Hi", "chosen": "Hello.", "rejected": "No."}
PAIR = [("Hi", "Hello.", "No.")]
ANSWERS = {"chosen": "Hello.", "rejected": "No."}

READ: dict[str, tuple[list[Any], dict[str, str | None], list[tuple[str, str, str]]]] = {
    "trl": ([TEXT], {}, PAIR),
    "trl conversations": ([TALK], {}, PAIR),
    "trl implicit prompt": ([{"chosen": [HI, HELLO], "rejected": [HI, NO]}], {}, PAIR),
    "trl implicit prompt in text": ([{"chosen": "H: Hi\n\nA: Yes.", "rejected": "H: Hi\n\nA: No."}], {},
                                    [("H: Hi\n\nA:", "Yes.", "No.")]),
    "alpaca": ([{"instruction": "Add.", "input": "1 2", **ANSWERS}], {}, [("Add.\n1 2", "Hello.", "No.")]),
    "alpaca without input": ([{"instruction": "Hi", "input": "", "history": [], **ANSWERS}], {}, PAIR),
    "sharegpt": ([SHARED], {"prompt": "conversations"}, PAIR),
    "sharegpt with system": ([{**SHARED, "system": "Be kind."}], {"prompt": "conversations", "system": "system"}, PAIR),
    "ultrafeedback": ([{"prompt": "Hi", "prompt_id": "a", "messages": [HI, HELLO], "chosen": [HI, HELLO],
                        "rejected": [HI, NO], "score_chosen": 8.5, "score_rejected": 6.0}], {}, PAIR),
    "argilla": ([{"question": "Hi", "chosen": [HI, HELLO], "rejected": [HI, NO]}], {}, PAIR),
    "orca": ([{"system": "", "question": "Hi", **ANSWERS}], {"prompt": "question"}, PAIR),
    "a context taken": ([{"question": "Who?", "context": "Anna.", **ANSWERS}],
                        {"prompt": "question", "input": "context"}, [("Who?\nAnna.", "Hello.", "No.")]),
    "capital roles": ([{"prompt": [said("User", "Hi")], "chosen": [said("ASSISTANT", "Hello.")], "rejected": [NO]}],
                      {}, PAIR),
    "the role model": ([{"prompt": [HI], "chosen": [said("model", "Hello.")], "rejected": [NO]}], {}, PAIR),
    "parts of text": ([{"prompt": [said("user", [{"type": "text", "text": "Hi"}])], "chosen": [HELLO],
                        "rejected": [NO]}], {}, PAIR),
    "no calls": ([{"prompt": [HI], "chosen": [{**HELLO, "tool_calls": []}], "rejected": [NO]}], {}, PAIR),
    "one side in messages": ([{"prompt": "Hi", "chosen": [HELLO], "rejected": "No."}], {}, PAIR),
    "messages as json": ([{name: json.dumps(value) for name, value in TALK.items()}], {}, PAIR),
    "blank lines": ([TEXT, "", "  "], {}, PAIR),
    "a byte order mark": (["\ufeff" + json.dumps(TEXT)], {}, PAIR),
    "windows": ([json.dumps(TEXT) + "\r"], {}, PAIR),
}  # fmt: skip

DROPPED: dict[str, tuple[Any, str]] = {
    "two prompts": ({"chosen": [HI, HELLO], "rejected": [said("user", "Ho"), NO]}, "1 prompts_differ"),
    "another prompt than its column": ({**TALK, "prompt": "Ho", "chosen": [HI, HELLO], "rejected": [HI, NO]},
                                       "1 prompts_differ"),
    "two systems": ({**TALK, "prompt": [said("system", "Be harsh."), HI], "system": "Be kind."}, "1 prompts_differ"),
    "an image": ({**TALK, "prompt": [said("user", [{"type": "image", "url": "x"}, {"type": "text", "text": "Who?"}])]},
                 "1 not_text"),
    "images beside": ({**TEXT, "images": ["a.png"]}, "1 not_text"),
    "tools": ({**TEXT, "tools": [{"type": "function"}]}, "1 not_text"),
    "a result of a tool": ({**TALK, "prompt": [HI, said("tool", "12:00")]}, "1 not_text"),
    "a user's last word": ({**TALK, "chosen": [HELLO, said("user", "Bye")]}, "1 no_answer"),
    "the same but for the end": ({**TEXT, "rejected": "Hello.\n"}, "1 identical"),
    "nothing to be seen": ({**TEXT, "chosen": "\u200b"}, "1 empty"),
    "a null": ({**TEXT, "chosen": None}, "1 empty"),
    "no prompt": ({**TEXT, "prompt": " "}, "1 empty"),
}  # fmt: skip

REFUSED: dict[str, tuple[list[Any], dict[str, str | None], str]] = {
    "unpaired": ([{"prompt": "Hi", "completion": "Hello.", "label": True}], {}, "no column 'chosen'"),
    "conversations unnamed": ([SHARED], {}, "conversations looks like one"),
    "conversations beside lists": ([{**SHARED, "chosen": [from_("gpt", "Yes")], "rejected": [from_("gpt", "No")]}], {},
                                   "conversations looks like one"),
    "messages beside lists": ([{"messages": [HI], "chosen": [HELLO], "rejected": [NO]}], {}, "messages looks like one"),
    "a question beside lists": ([{"question": "Hi", "chosen": [HELLO], "rejected": [NO]}], {},
                                "question looks like one"),
    "a history": ([{"instruction": "And?", "history": [["Hi", "Hello"]], **ANSWERS}], {}, "is no text"),
    "a system unnamed": ([{"system": "Be kind.", "question": "Hi", **ANSWERS}], {"prompt": "question"},
                         "system=system takes it"),
    "an article": ([{**TEXT, "article": "Anna made honey."}], {}, "input=article takes it"),
    "a chat history": ([{**TEXT, "chat_history": "A: Hi"}], {}, "input=chat_history takes it"),
    "an input beside a prompt": ([{**TEXT, "input": "1 2"}], {}, "input=input takes it"),
    "a number": ([TEXT, {**TEXT, "chosen": 5}], {}, "jsonl:2: chosen is a number here"),
    "both forms": ([TEXT, TALK], {}, "jsonl:2: prompt is a list or an object here"),
    "python's print": ([{name: str(value) for name, value in TALK.items()}], {}, "as Python prints them"),
    "a list of rows": ([json.dumps([TEXT])], {}, "expected an object"),
    "an end missing": ([TEXT, json.dumps(TEXT)[:40]], {}, "jsonl:2"),
    "nan": (['{"prompt": "Hi", "chosen": NaN, "rejected": "b"}'], {}, "NaN is no JSON"),
    "a column that is not there": ([TEXT], {"prompt": "nix"}, "no column 'nix'"),
    "a role that is none": ([TEXT], {"question": "prompt"}, "'question' is no column"),
    "no language": ([{**TEXT, "language": "Klingon"}], {}, "'Klingon'"),
    "a language missing": ([{**TEXT, "language": None}, {**TEXT, "language": "de"}], {}, "rows without a language"),
}  # fmt: skip


def written(folder: Path, rows: list[Any]) -> Path:
    path = folder / "set.jsonl"
    lines = [row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows]
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def loaded(path: Path, columns: dict[str, str | None]) -> tuple[list[tuple[str, str, str]], str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = lidr.load_pairs(str(path), columns=columns or None)
    texts = [(row["prompt_text"], row["chosen_text"], row["rejected_text"]) for row in found]
    return texts, "; ".join(str(one.message) for one in caught)


@pytest.mark.parametrize("name", READ)
def test_a_set_of_a_usual_form_is_read(name, tmp_path):
    rows, columns, pairs = READ[name]
    assert loaded(written(tmp_path, rows), columns) == (pairs, "")


@pytest.mark.parametrize("name", DROPPED)
def test_a_row_that_is_no_pair_is_dropped_with_its_reason(name, tmp_path):
    row, reason = DROPPED[name]
    columns = {"prompt": "prompt", "system": "system"} if "system" in row else {}
    found, warned = loaded(written(tmp_path, [row]), columns)
    assert found == []
    assert warned.endswith(reason)


@pytest.mark.parametrize("name", REFUSED)
def test_a_set_that_nobody_understands_is_refused_with_the_place(name, tmp_path):
    rows, columns, message = REFUSED[name]
    with pytest.raises(LidrError) as raised:
        loaded(written(tmp_path, rows), columns)
    assert message in str(raised.value)


@pytest.mark.parametrize("name", ["set.xlsx", "set.txt", "set.arrow"])
def test_a_file_of_another_form_is_not_said_to_be_missing(name, tmp_path):
    path = tmp_path / name
    path.write_text("prompt,chosen,rejected\n", encoding="utf-8")
    with pytest.raises(LidrError, match=r"ends with \.jsonl, .*, and this one with"):
        loaded(path, {})


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.string_view(), pa.binary(), None])
def test_every_type_of_text_is_read(kind, tmp_path):
    columns = {name: pa.array([value], kind or pa.string()) for name, value in TEXT.items()}
    if kind is None:
        columns = {name: column.dictionary_encode() for name, column in columns.items()}
    pq.write_table(pa.table(columns), tmp_path / "set.parquet")
    assert loaded(tmp_path / "set.parquet", {})[0] == PAIR


def test_a_set_without_rows_has_no_pairs(tmp_path):
    empty = pa.schema([("messages", pa.string()), ("chosen", pa.string()), ("rejected", pa.string())])
    talk = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
    for schema in (empty.remove(0), pa.schema([("messages", talk), ("chosen", talk), ("rejected", talk)])):
        pq.write_table(schema.empty_table(), tmp_path / "set.parquet")
        assert loaded(tmp_path / "set.parquet", {})[0] == []
