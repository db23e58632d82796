"""Rows of other people's preference sets, in each form that is about."""

from __future__ import annotations

import polars as pl
import pytest

from lidr.errors import RowError
from lidr.preferences.columns import Foreign
from lidr.recipe.column_map import Columns


def turn(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


ASK, YES, NO = turn("user", "Tea?"), turn("assistant", "Yes, please."), turn("assistant", "No.")


def read(rows: list[dict[str, object]], **columns: str | None):
    return Foreign(Columns(**columns).named, "en", language="en")(pl.DataFrame(rows), first=0)


FORMS = {
    "explicit plain": ({"prompt": "Tea?", "chosen": "Yes, please.", "rejected": "No."}, {}),
    "explicit messages": ({"prompt": [ASK], "chosen": [YES], "rejected": [NO]}, {}),
    "explicit messages, one message a side": ({"prompt": [ASK], "chosen": YES, "rejected": NO}, {}),
    "explicit messages, plain sides": ({"prompt": [ASK], "chosen": "Yes, please.", "rejected": "No."}, {}),
    "ultrafeedback": ({"prompt": "Tea?", "chosen": [ASK, YES], "rejected": [ASK, NO]}, {}),
    "prompt again in both sides": ({"prompt": [ASK], "chosen": [ASK, YES], "rejected": [ASK, NO]}, {}),
    "implicit messages": ({"chosen": [ASK, YES], "rejected": [ASK, NO]}, {"prompt": None}),
    "implicit plain": ({"chosen": "Tea? Yes, please.", "rejected": "Tea? No."}, {"prompt": None}),
    "implicit dialogue": (
        {"chosen": "\n\nHuman: Tea?\n\nAssistant: Yes, please.", "rejected": "\n\nHuman: Tea?\n\nAssistant: No."},
        {"prompt": None},
    ),
    "implicit dialogue without blank lines before it": (
        {"chosen": "Human: Tea?\n\nAssistant: Yes, please.", "rejected": "\nHuman: Tea?\n\nAssistant: No."},
        {"prompt": None},
    ),
    "content in parts": (
        {
            "prompt": [{"role": "user", "content": [{"type": "text", "text": "Tea?"}]}],
            "chosen": {
                "role": "assistant",
                "content": [{"type": "text", "text": "Yes, "}, {"type": "text", "text": "please."}],
            },
            "rejected": [{"role": "assistant", "content": [{"type": "text", "text": "No."}]}],
        },
        {},
    ),
    "sharegpt": (
        {
            "conversations": [{"from": "human", "value": "Tea?"}],
            "good": {"from": "gpt", "value": "Yes, please."},
            "bad": {"from": "gpt", "value": "No."},
        },
        {"prompt": "conversations", "chosen": "good", "rejected": "bad"},
    ),
    "other names": (
        {"question": "Tea?", "a": "Yes, please.", "b": "No."},
        {"prompt": "question", "chosen": "a", "rejected": "b"},
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_becomes_the_same_pair(form):
    row, columns = FORMS[form]
    found = read([row], **columns)
    assert found.dropped.height == 0
    (pair,) = found.pairs.to_dicts()
    assert (pair["prompt"], pair["chosen"], pair["rejected"]) == ([ASK], [YES], [NO])
    assert (pair["prompt_text"], pair["chosen_text"], pair["rejected_text"]) == ("Tea?", "Yes, please.", "No.")
    assert (pair["kind"], pair["language"], pair["other_language"]) == ("dominant", "en", "en")


def test_a_longer_conversation_keeps_its_turns_and_its_system_message():
    before = [turn("system", "Be brief."), ASK, YES, turn("user", "Milk?")]
    row = {"prompt": "Tea?", "chosen": [*before, NO], "rejected": [*before, turn("assistant", "Hm.")]}
    (pair,) = read([row]).pairs.to_dicts()
    assert pair["prompt"] == before
    assert pair["prompt_text"] == "Tea?\n\nYes, please.\n\nMilk?"


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"prompt": "Tea?", "chosen": "Yes.", "rejected": " "}, "empty"),
        ({"prompt": "Tea?", "chosen": "Yes.", "rejected": None}, "empty"),
        ({"prompt": None, "chosen": "Yes.", "rejected": "No."}, "empty"),
        ({"prompt": "Tea?", "chosen": "No.", "rejected": "No."}, "identical"),
        ({"prompt": "Tea?", "chosen": [ASK, YES], "rejected": [turn("user", "Milk?"), NO]}, "prompts_differ"),
        ({"prompt": "Milk?", "chosen": [ASK, YES], "rejected": [ASK, NO]}, "prompts_differ"),
        ({"prompt": "Tea?", "chosen": [ASK], "rejected": [ASK, NO]}, "no_answer"),
        ({"prompt": [ASK, YES], "chosen": "Yes.", "rejected": "No."}, "no_answer"),
    ],
)
def test_a_row_that_cannot_be_used_is_dropped_with_its_reason(row, reason):
    found = read([row])
    assert found.dropped["reason"].to_list() == [reason]
    assert found.pairs.height == 0


@pytest.mark.parametrize("side", ["prompt", "chosen", "rejected"])
@pytest.mark.parametrize("part", [{"type": "image", "text": None}, {"type": None, "text": "x"}])
def test_a_row_with_a_part_that_is_no_text_is_dropped(side, part):
    text = {"type": "text", "text": "Tea"}
    row = {"prompt": [{"role": "user", "content": [text]}], "chosen": {"role": "assistant", "content": [text]},
           "rejected": {"role": "assistant", "content": [{**text, "text": "No"}]}}  # fmt: skip
    held = row[side][0] if side == "prompt" else row[side]
    held["content"] = [text, part]
    assert read([row]).dropped["reason"].to_list() == ["not_text"]


def test_a_dialogue_with_text_before_its_first_turn_has_no_prompt():
    sides = {side: f"Be kind.\n\nHuman: Tea?\n\nAssistant: {side}." for side in ("chosen", "rejected")}
    assert read([sides], prompt=None).dropped["reason"].to_list() == ["text_before_turns"]


def test_texts_that_begin_with_nothing_in_common_have_no_prompt():
    found = read([{"chosen": "Yes.", "rejected": "No."}], prompt=None)
    assert found.dropped["reason"].to_list() == ["no_common_prompt"]


def test_language_kind_and_scores_come_from_columns_where_there_are_any():
    row = {"prompt": "Tee?", "chosen": "Ja.", "rejected": "Nö.", "lang": "de", "s1": 8.0, "s2": 3, "n": 7}
    found = read([row, {**row, "lang": "xx"}], language="lang", score_chosen="s1", score_rejected="s2", id="n")
    pair = found.pairs.to_dicts()[0]
    assert (pair["language"], pair["kind"], pair["margin"], pair["id"]) == ("de", "non_dominant", 5.0, "7")
    only_de = Foreign(Columns(language="lang").named, "en", languages=("de", "en"))
    assert only_de(pl.DataFrame([row, {**row, "lang": "xx"}]), first=5).dropped["reason"].to_list() == [
        "other_language"
    ]


def test_a_map_that_names_a_column_that_is_not_there_says_which_there_are():
    with pytest.raises(
        RowError, match=r"x: no column 'prompt' for prompt; its columns: q, a\. Name it in the column map"
    ):
        Columns().check(["q", "a"], "x")


@pytest.mark.parametrize(
    ("role", "said"),
    [
        ("score_chosen", "column map: conversion from `str` to `f64` failed in column 'score_chosen'"),
        ("iteration", "column map: conversion from `str` to `i32` failed in column 'iteration'"),
        ("kind", "column about: 'good' is no kind of pair; allowed: dominant, non_dominant, sampled"),
    ],
)
def test_a_column_that_holds_something_else_is_said(role, said):
    with pytest.raises(RowError, match=said):
        read([{"prompt": "Tea?", "chosen": "Yes.", "rejected": "No.", "about": "good"}], **{role: "about"})


def test_a_column_of_numbers_is_no_side_of_a_pair():
    with pytest.raises(RowError, match="column chosen: Int64 holds neither text nor messages"):
        read([{"prompt": "Tea?", "chosen": 1, "rejected": "No."}])
