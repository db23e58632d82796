"""Rows as people write them: every one is read as it was meant, dropped with its reason, or refused with its place."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import lidr
from lidr.errors import RowError

HERE = Path(__file__).parent

Turn = dict[str, Any]


def user(said: Any, **more: Any) -> Turn:
    return {"role": "user", "content": said, **more}


def answer(said: Any, **more: Any) -> Turn:
    return {"role": "assistant", "content": said, **more}


CALL = {"type": "function", "function": {"name": "clock", "arguments": "{}"}}
GOOD = {"prompt": "Other?", "chosen": "A", "rejected": "B"}


def lines(path: Path, *rows: Any) -> Path:
    said = (row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows)
    path.write_text("".join(line + "\n" for line in said), encoding="utf-8")
    return path


def read(path: Path, **columns: str | None) -> tuple[list[tuple[Any, ...]], str]:
    """Prompt, chosen and rejected of each pair, and what is said of the rows that are none."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = lidr.load_pairs(str(path), columns=columns or None)
    texts = [(row["prompt_text"], row["chosen_text"], row["rejected_text"]) for row in found]
    return texts, "; ".join(str(one.message) for one in caught)


@pytest.mark.parametrize(
    ("name", "pairs", "unread"),
    [
        ("K03_null_content_in_history.jsonl", 0, "1 not_text"),
        ("K03_tool_call_null.jsonl", 0, "1 not_text"),
        ("K03_tool_call_with_text.jsonl", 0, "1 not_text"),
        ("K05_identical_but_newline.jsonl", 1, "1 identical"),
        ("K05_zero_width_answer.jsonl", 1, "1 empty"),
        ("K06_input_column.jsonl", 1, ""),
        ("K07_dictionary_text.parquet", 2, ""),
        ("K15_role_capital.jsonl", 1, ""),
        ("K16_prompt_newline.jsonl", 1, ""),
        ("K17_json_text_messages.jsonl", 1, ""),
        ("K18_same_id_twice.jsonl", 2, ""),
    ],
)
def test_sets_as_they_were_met(name, pairs, unread):
    found, said = read(HERE / name)
    assert (len(found), said.endswith(unread), bool(said)) == (pairs, True, bool(unread))


# Messages that are more than text


MORE = {
    "a call of a tool without text": answer(None, tool_calls=[CALL]),
    "thoughts beside text": answer("Honey.", reasoning_content="The user asks what bees make."),
    "thoughts of another name": answer("Honey.", thinking="The user asks what bees make."),
    "a call of a tool beside text": answer("Let me look.", tool_calls=[CALL]),
    "the old form of a call": answer("Let me look.", function_call={"name": "clock", "arguments": "{}"}),
    "no content": answer(None),
    "an image": answer([{"type": "text", "text": "See."}, {"type": "image"}]),
    "a part without text": answer([{"type": "text", "text": None}]),
    "images beside the text": answer("See.", images=["a.png"]),
}


@pytest.mark.parametrize("more", MORE)
@pytest.mark.parametrize("place", ["history", "chosen", "rejected"])
def test_a_message_that_is_more_than_text_drops_its_row_wherever_it_stands(tmp_path, more, place):
    text = isinstance(MORE[more]["content"], list)

    def plain(turn: Turn) -> Turn:
        return {**turn, "content": [{"type": "text", "text": turn["content"]}]} if text else turn

    row = {"prompt": [plain(user("Tea?"))], "chosen": [plain(answer("Yes."))], "rejected": [plain(answer("No."))]}
    if place == "history":
        row["prompt"] = [*row["prompt"], MORE[more], plain(user("Milk?"))]
    else:
        row[place] = [MORE[more]]
    good = {**row, "prompt": [plain(user("Other?"))], "chosen": [plain(answer("A"))], "rejected": [plain(answer("B"))]}
    found, said = read(lines(tmp_path / "set.jsonl", row, good))
    assert (found, said) == ([("Other?", "A", "B")], "set.jsonl: 1 row cannot be read as pairs: 1 not_text")


@pytest.mark.parametrize("role", ["tool", "Tool", "function", "observation", "ipython"])
def test_what_a_tool_gave_is_no_turn_of_a_conversation(tmp_path, role):
    row = {"prompt": [user("Time?"), {"role": role, "content": "12:00"}, user("So?")], "chosen": [answer("Noon.")],
           "rejected": [answer("No idea.")]}  # fmt: skip
    assert read(lines(tmp_path / "set.jsonl", row)) == (
        [],
        "set.jsonl: 1 row cannot be read as pairs: 1 not_text",
    )


@pytest.mark.parametrize("role", ["critic", None, ""])
def test_a_message_of_nobody_whom_a_chat_template_knows_drops_its_row(tmp_path, role):
    row = {
        "prompt": [{"role": role, "content": "Hm."}, user("So?")],
        "chosen": [answer("A")],
        "rejected": [answer("B")],
    }
    assert read(lines(tmp_path / "set.jsonl", row))[1].endswith("1 unknown_role")


@pytest.mark.parametrize("nothing", [None, [], "", "[]"])
@pytest.mark.parametrize("column", ["tools", "images"])
def test_tools_and_images_beside_the_messages_drop_the_rows_that_have_any(tmp_path, column, nothing):
    value = "[1]" if isinstance(nothing, str) else ["x"]
    path = lines(tmp_path / "set.jsonl", {**GOOD, column: nothing}, {**GOOD, "prompt": "Q", column: value})
    assert read(path) == ([("Other?", "A", "B")], "set.jsonl: 1 row cannot be read as pairs: 1 not_text")


@pytest.mark.parametrize(
    "nothing",
    [{"tool_calls": None}, {"reasoning_content": ""}, {"tool_calls": []}, {"function_call": None}, {"name": "x"}],
)
def test_fields_that_hold_no_call_leave_a_message_what_it_is(tmp_path, nothing):
    row = {"prompt": [user("Tea?")], "chosen": [answer("Yes.", **nothing)], "rejected": [answer("No.", **nothing)]}
    assert read(lines(tmp_path / "set.jsonl", row)) == ([("Tea?", "Yes.", "No.")], "")


@pytest.mark.parametrize(
    "said", [["Yes, ", "please."], [{"type": "text", "text": "Yes, "}, {"type": "text", "text": "please."}]]
)
def test_a_content_that_is_a_list_of_texts_is_text(tmp_path, said):
    row = {"prompt": "Tea?", "chosen": [answer(said)], "rejected": [answer(["No."])]}
    if isinstance(said[0], dict):
        row["rejected"] = [answer([{"type": "text", "text": "No."}])]
    assert read(lines(tmp_path / "set.jsonl", row)) == ([("Tea?", "Yes, please.", "No.")], "")


@pytest.mark.parametrize(
    ("prompt", "reason"), [([], "empty"), ([{"role": "system", "content": "Be brief."}], "no_answer")]
)
def test_conversations_in_which_nobody_asks_are_dropped(tmp_path, prompt, reason):
    good = {"prompt": [user("Tea?")], "chosen": [answer("A")], "rejected": [answer("B")]}
    path = lines(tmp_path / "set.jsonl", {**good, "prompt": prompt}, good)
    assert read(path)[1].endswith(f"1 {reason}")


# White space


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Yes.", "Yes. \n"),
        ("Yes.", "\u200bYes."),
        ("Yes.", "Y\u00ades.\ufeff"),
        ("Yes, sir.", "Yes,\xa0sir."),
        ("Yes, sir.", "Yes,  sir."),
        ("Yes,\nsir.", "Yes,\r\nsir."),
        ("Yes,\nsir.", "Yes, \nsir."),
        ("Caf\u00e9.", "Cafe\u0301."),
    ],
)
def test_sides_that_differ_in_white_space_and_unseen_marks_alone_are_identical(tmp_path, one, other):
    path = lines(tmp_path / "set.jsonl", {"prompt": "Q", "chosen": one, "rejected": other}, GOOD)
    assert read(path) == ([("Other?", "A", "B")], "set.jsonl: 1 row cannot be read as pairs: 1 identical")


@pytest.mark.parametrize(
    ("one", "other"),
    [("if x:\n    a", "if x:\na"), ("a\n\nb", "a\nb"), ("ab", "a b"), ("می\u200cرود", "میرود"), ("🏴\U000e0067", "🏴")],
)
def test_indentation_paragraphs_words_and_joiners_make_texts_different(tmp_path, one, other):
    path = lines(tmp_path / "set.jsonl", {"prompt": "Q", "chosen": one, "rejected": other})
    assert read(path) == ([("Q", one, other)], "")


@pytest.mark.parametrize("side", ["prompt", "chosen", "rejected"])
@pytest.mark.parametrize("blank", ["", " \n", "\u200b", "\ufeff", "\u2060\u00ad", "\u3164", "\x00", "\u2028"])
def test_a_text_in_which_nothing_is_seen_is_empty(tmp_path, side, blank):
    path = lines(tmp_path / "set.jsonl", {**GOOD, side: blank}, GOOD)
    assert read(path) == ([("Other?", "A", "B")], "set.jsonl: 1 row cannot be read as pairs: 1 empty")


@pytest.mark.parametrize("prompt", ["Tea?\n", " Tea?", "\u200bTea?", "Tea?\r\n"])
def test_a_prompt_is_found_again_in_the_conversation_whatever_space_is_around_it(tmp_path, prompt):
    row = {"prompt": prompt, "chosen": [user("Tea?"), answer("A")], "rejected": [user("Tea?\n"), answer("B")]}
    assert read(lines(tmp_path / "set.jsonl", row)) == ([("Tea?", "A", "B")], "")
    row["prompt"] = [user(prompt)]
    assert read(lines(tmp_path / "set.jsonl", row)) == ([("Tea?", "A", "B")], "")
    row["prompt"] = "Milk?"
    assert read(lines(tmp_path / "set.jsonl", row))[1].endswith("1 prompts_differ")


# Columns that are part of the prompt


ALPACA = {"instruction": "Translate into German.", "input": "house", "chosen": "Haus", "rejected": "maison"}
BOTH = "Translate into German.\nhouse"


def test_instruction_and_input_are_the_prompt_as_in_sets_of_alpacas_form(tmp_path):
    path = lines(tmp_path / "set.jsonl", ALPACA, {**ALPACA, "input": " "}, {**ALPACA, "input": None})
    assert [row[0] for row in read(path)[0]] == [BOTH, "Translate into German.", "Translate into German."]
    found, _ = read(path, prompt="instruction", input="input")
    assert found[0] == (BOTH, "Haus", "maison")
    assert read(path, prompt="instruction", input=None)[0][0][0] == "Translate into German."


@pytest.mark.parametrize("name", ["input", "context", "history", "system", "system_prompt"])
def test_a_column_that_looks_like_part_of_the_prompt_is_mapped_or_refused(tmp_path, name):
    row = {"prompt": "Sum up.", name: "Bees.", "chosen": "A", "rejected": "B"}
    path = lines(tmp_path / "set.jsonl", row)
    role = "system" if name.startswith("system") else "input"
    said = (
        rf"column {name} looks like part of the prompt \(it begins with 'Bees\.'\).* {role}={name} takes it, {role}=-"
    )
    with pytest.raises(RowError, match=said):
        read(path, prompt="prompt")
    if name != "system":
        with pytest.raises(RowError, match=said):
            read(path)
    text = "Sum up." if role == "system" else "Sum up.\nBees."
    assert read(path, prompt="prompt", **{role: name})[0] == [(text, "A", "B")]
    assert read(path, prompt="prompt", **{role: None})[0] == [("Sum up.", "A", "B")]
    path = lines(tmp_path / "set.jsonl", {**row, name: "\u200b"}, {**row, name: None})
    assert len(read(path, prompt="prompt")[0]) == 2, "what holds nothing is part of nothing"


def test_a_system_column_is_the_system_message_of_its_rows(tmp_path):
    rows = [{**GOOD, "system": "Be brief."}, {**GOOD, "system": ""}, {**GOOD, "system": None}]
    found = lidr.load_pairs(str(lines(tmp_path / "set.jsonl", *rows)))
    assert [[turn["role"] for turn in row["prompt"]] for row in found] == [["system", "user"], ["user"], ["user"]]
    assert found[0]["prompt"][0]["content"] == "Be brief."
    assert found[0]["prompt_text"] == "Other?"


@pytest.mark.parametrize(("said", "reason"), [("Be brief.\n", ""), ("Be long.", "1 prompts_differ")])
def test_a_system_message_that_stands_in_the_conversation_too_is_not_doubled(tmp_path, said, reason):
    before = [{"role": "system", "content": said}, user("Tea?")]
    row = {"system": "Be brief.", "chosen": [*before, answer("A")], "rejected": [*before, answer("B")]}
    found, unread = read(lines(tmp_path / "set.jsonl", row))
    assert (len(found), unread.endswith(reason)) == (0 if reason else 1, True)
    if not reason:
        assert lidr.load_pairs(str(tmp_path / "set.jsonl"))[0]["prompt"] == before


@pytest.mark.parametrize("name", ["question", "query", "input", "messages"])
def test_a_set_without_a_prompt_column_whose_other_column_looks_like_one_is_not_read_without_it(tmp_path, name):
    path = lines(tmp_path / "set.jsonl", {name: "Tea?", "chosen": "Yes, please.", "rejected": "Yes, two."})
    with pytest.raises(RowError, match=rf"no column prompt, and {name} looks like one\. .* prompt={name}; or prompt=-"):
        read(path)
    assert read(path, prompt=name)[0] == [("Tea?", "Yes, please.", "Yes, two.")]


def test_an_input_beside_messages_is_refused(tmp_path):
    path = lines(tmp_path / "set.jsonl", {**GOOD, "prompt": [user("Tea?")], "input": "x"})
    with pytest.raises(RowError, match="input goes on after a prompt in plain text"):
        read(path, prompt="prompt", input="input")


# What a line may hold


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            b'{"prompt":"Q","chosen":"caf\xe9","rejected":"C"}',
            r":2: byte 0xe9 is not UTF-8; .* \(byte 28 of the line\)",
        ),
        (b'{"prompt":"Q","chosen":"a","rejected":"C","chosen":"b"}', r':2: the key "chosen" stands twice'),
        (b'{"prompt":[{"role":"user","role":"x","content":"Q"}]}', r':2: the key "role" stands twice'),
        (b'{"prompt":"NaN","chosen":"a","margin":NaN}', r":2:39: NaN is no JSON; write null"),
        (b'{"prompt":"Q","margin":-Infinity}', r":2:24: -Infinity is no JSON"),
        (b'{"prompt":"Q\x00"}', r":2:13: not JSON: Invalid control character"),
        (b'{"prompt":5,"chosen":"a","rejected":"C"}', r":2: prompt is a number here and a text elsewhere"),
        (b'{"prompt":"Q","chosen":true,"rejected":"C"}', r":2: chosen is a truth value here and a text elsewhere"),
        (b'{"prompt":"Q","chosen":["a"],"rejected":"C"}', r":2: chosen is a list or an object here and a text"),
        (b"\xff\xfe{\x00", r":2: byte 0xff is not UTF-8"),
    ],
)
def test_a_line_that_could_be_read_in_two_ways_is_refused_with_its_place(tmp_path, line, said):
    good = json.dumps(GOOD).encode()
    (tmp_path / "set.jsonl").write_bytes(good + b"\n" + line + b"\n" + good + b"\n")
    with pytest.raises(RowError, match=rf"set\.jsonl{said}"):
        read(tmp_path / "set.jsonl")


def test_a_number_among_the_texts_of_messages_is_refused(tmp_path):
    rows = [{"prompt": [user(said)], "chosen": [answer("A")], "rejected": [answer("B")]} for said in ("Q", 5)]
    with pytest.raises(RowError, match=r"set\.jsonl:2: prompt\.content is a number here and a text elsewhere"):
        read(lines(tmp_path / "set.jsonl", *rows))


def test_line_ends_marks_and_escapes_are_read_as_they_are_meant(tmp_path):
    rows = [{**GOOD, "prompt": f"a{mark}b"} for mark in ("\u2028", "\u0085", "\\n", "\x00", "😀")]
    text = "\ufeff" + "\r\n".join(json.dumps(row, ensure_ascii=n % 2 == 0) for n, row in enumerate(rows)) + "\r\n\r\n"
    (tmp_path / "set.jsonl").write_bytes(text.encode())
    assert [row[0] for row in read(tmp_path / "set.jsonl")[0]] == [row["prompt"] for row in rows]


# Roles, messages in JSON


@pytest.mark.parametrize(
    "roles", [("USER", "Assistant"), (" user ", "ASSISTANT"), ("Human", "GPT"), ("Prompter", "Bot")]
)
def test_roles_are_read_in_any_case(tmp_path, roles):
    sides = {
        side: [{"role": roles[0], "content": "Tea?"}, {"role": roles[1], "content": side}]
        for side in ("chosen", "rejected")
    }
    found = lidr.load_pairs(str(lines(tmp_path / "set.jsonl", {"prompt": "Tea?", **sides})))
    assert (found[0]["prompt"], found[0]["chosen"]) == ([user("Tea?")], [answer("chosen")])


TALK = {
    "conversations": [[user("Tea?"), answer("A")], [user("Tea?"), answer("B")]],
    "one message": [answer("A"), answer("B")],
    "sharegpt": [[{"from": "human", "value": "Tea?"}, {"from": "gpt", "value": said}] for said in "AB"],
    "parts": [[user([{"type": "text", "text": "Tea?"}]), answer([{"type": "text", "text": said}])] for said in "AB"],
}


@pytest.mark.parametrize("form", TALK)
@pytest.mark.parametrize("prompt", ["Tea?", [user("Tea?")]])
def test_messages_written_as_json_text_are_messages(tmp_path, form, prompt):
    chosen, rejected = (json.dumps(side, indent=1) for side in TALK[form])
    row = {"prompt": prompt if isinstance(prompt, str) else json.dumps(prompt), "chosen": chosen, "rejected": rejected}
    assert read(lines(tmp_path / "set.jsonl", row)) == ([("Tea?", "A", "B")], "")
    pl.DataFrame([row]).write_parquet(tmp_path / "set.parquet")
    assert read(tmp_path / "set.parquet") == ([("Tea?", "A", "B")], "")


def test_a_call_of_a_tool_in_json_text_is_more_than_text(tmp_path):
    row = {
        "prompt": "Q",
        "chosen": json.dumps([answer("Hm.", tool_calls=[CALL])]),
        "rejected": json.dumps([answer("B")]),
    }
    assert read(lines(tmp_path / "set.jsonl", row))[1].endswith("1 not_text")


def test_json_that_is_no_messages_stays_the_text_that_it_is(tmp_path):
    row = {"prompt": "JSON?", "chosen": '[{"a": 1}]', "rejected": '{"role": "x"}'}
    assert read(lines(tmp_path / "set.jsonl", row)) == ([tuple(row.values())], "")


def test_a_column_that_holds_messages_as_json_in_some_rows_alone_is_refused(tmp_path):
    talk = {"prompt": "Q", "chosen": json.dumps([answer("A")]), "rejected": json.dumps([answer("B")])}
    with pytest.raises(
        RowError, match="column chosen: its first 1 texts are messages written as JSON, and the next is"
    ):
        read(lines(tmp_path / "set.jsonl", talk, GOOD))
    with pytest.raises(RowError, match="column chosen holds messages as Python prints them; write them as JSON"):
        read(lines(tmp_path / "set.jsonl", {**talk, "chosen": str([answer("A")])}))


# Ids


@pytest.mark.parametrize(("value", "id_"), [(7, "7"), ("a/b c", "a/b c"), ("007", "007")])
def test_ids_are_texts_and_whole_numbers(tmp_path, value, id_):
    path = lines(tmp_path / "set.jsonl", {"id": value, **GOOD})
    assert lidr.load_pairs(str(path), columns={"id": "id"})["prompt_id"][:] == [id_]


@pytest.mark.parametrize(
    ("ids", "said"),
    [
        ([1.0, 2.0], "column id: Float64 names no prompts; write ids as texts or whole numbers, or leave id out"),
        ([True, False], "column id: Boolean names no prompts"),
        (["a", "\u200b"], "column id, row 2: the id is blank; write one, or null for none"),
        (["a", "a"], "column id: 'a' names another prompt in row 2 than in row 1"),
    ],
)
def test_ids_that_name_no_prompt_or_two_are_refused(tmp_path, ids, said):
    rows = [{"id": id_, **GOOD, "prompt": f"Q{number}"} for number, id_ in enumerate(ids)]
    with pytest.raises(RowError, match=said):
        read(lines(tmp_path / "set.jsonl", *rows), id="id")


def test_an_id_may_name_one_prompt_in_many_rows_and_languages(tmp_path):
    rows = [
        {"id": "a", **GOOD, "language": "en"},
        {"id": "a", **GOOD, "prompt": "Other?\n", "language": "en"},
        {"id": "a", **GOOD, "prompt": "Andere?", "language": "de"},
        {"id": None, **GOOD, "prompt": "No id", "language": "de"},
    ]
    found = lidr.load_pairs(str(lines(tmp_path / "set.jsonl", *rows)), columns={"id": "id", "language": "language"})
    assert found["prompt_id"][:3] == ["a"] * 3
    assert len(found["prompt_id"][3]) == 16


def test_a_score_that_is_no_number_is_refused(tmp_path):
    pl.DataFrame([{**GOOD, "margin": 1.0}, {**GOOD, "margin": float("nan")}]).write_parquet(tmp_path / "set.parquet")
    with pytest.raises(RowError, match=r"column margin, row 2: NaN is no score; write null where there is none"):
        read(tmp_path / "set.parquet")


# Arrow's types


def encoded(kind: pa.DataType, values: list[Any]) -> pa.Array:
    if pa.types.is_dictionary(kind):
        return pa.array(values).dictionary_encode()
    return pa.array(values, kind)


TEXTS = [pa.dictionary(pa.int32(), pa.string()), pa.large_string(), pa.string_view(), pa.binary(), pa.large_binary()]


@pytest.mark.parametrize("kind", TEXTS, ids=str)
def test_every_type_that_holds_text_is_read_in_every_column(tmp_path, kind):
    rows = {"prompt": ["Ще?", "Q2"], "chosen": ["A", "B"], "rejected": ["C", None], "language": ["en", "de"],
            "id": ["x", "y"], "system": ["Be brief.", None]}  # fmt: skip
    pq.write_table(pa.table({name: encoded(kind, values) for name, values in rows.items()}), tmp_path / "set.parquet")
    columns = {"id": "id", "language": "language", "system": "system"}
    with pytest.warns(UserWarning, match="1 empty"):
        (found,) = lidr.load_pairs(str(tmp_path / "set.parquet"), columns=columns)
    assert (found["prompt_text"], found["prompt_id"], found["language"]) == ("Ще?", "x", "en")
    assert found["prompt"][0]["content"] == "Be brief."


@pytest.mark.parametrize("kind", TEXTS[:2], ids=str)
@pytest.mark.parametrize(
    "listed", [pa.list_, pa.large_list, lambda kind: pa.list_(kind, 1)], ids=["list", "large", "fixed"]
)
def test_every_type_that_holds_text_is_read_in_messages(tmp_path, kind, listed):
    roles = {"prompt": "user", "chosen": "assistant", "rejected": "assistant"}
    texts = {
        side: pa.StructArray.from_arrays([encoded(kind, [role] * 2), encoded(kind, [side, "x"])], ["role", "content"])
        for side, role in roles.items()
    }
    inner = texts["prompt"].type
    table = {}
    for side, turns in texts.items():
        if pa.types.is_fixed_size_list(listed(inner)):
            table[side] = pa.FixedSizeListArray.from_arrays(turns, 1)
        else:
            of = pa.LargeListArray if pa.types.is_large_list(listed(inner)) else pa.ListArray
            table[side] = of.from_arrays([0, 1, 2], turns)
    pq.write_table(pa.table(table), tmp_path / "set.parquet")
    found, said = read(tmp_path / "set.parquet")
    assert (found, said.endswith("1 identical")) == ([("prompt", "chosen", "rejected")], True)


def test_bytes_that_are_no_utf8_are_refused_in_parquet_too(tmp_path):
    bad = pa.array([b"A", b"caf\xe9"])
    for held, said in (
        (bad, r"column chosen, row 2: byte 4 of its value, 0xe9, is not UTF-8"),
        (bad.view(pa.string()), r"set\.parquet: column chosen, rows 1 to 2: .*UTF"),
    ):
        pq.write_table(
            pa.table({"prompt": ["Q", "R"], "chosen": held, "rejected": ["B", "C"]}), tmp_path / "set.parquet"
        )
        with pytest.raises(RowError, match=said):
            read(tmp_path / "set.parquet")
