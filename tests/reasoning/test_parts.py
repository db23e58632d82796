"""Whatever is generated, and wherever it was cut: what is said, what is thought, and marks, and nothing else.

Thoughts are made of q, w and v, answers of Q, W and V: no mark has such a letter. Nothing of lidr streams: an answer is
read once, when it has ended, and it may end at any token.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lidr.engines import ChatTokenizer
from lidr.reasoning import FAMILIES, Answer, ThoughtReader
from tests.reasoning.test_channel import QUESTION, ids_of
from tests.thinking import STYLES, thinking_tokenizer

Part = tuple[bool, str]
"""Whether it is a thought, and its text."""

OPENED = ("qwen35", "r1", "olmo3")
"""Their prompt opens the thought."""
MARKS = {mark for marks in FAMILIES.values() for mark in (marks.opens, marks.closes)}


@pytest.fixture(scope="module")
def policies() -> dict[str, tuple[ChatTokenizer, ThoughtReader, Any]]:
    found = {}
    for family in STYLES:
        tokenizer = thinking_tokenizer(family)
        reader = ThoughtReader.of(tokenizer)
        assert reader is not None
        found[family] = (ChatTokenizer(tokenizer, model="it"), reader, tokenizer)
    return found


def parts_of(family: str) -> st.SearchStrategy[list[Part]]:
    """Thoughts and answers in turn, each of which may be empty."""
    thought = st.tuples(st.just(True), st.text("qwv \n", max_size=6))
    said = st.tuples(st.just(False), st.text("QWV \n", max_size=6))
    if family == "granite":  # its marks are words that begin an answer
        return st.tuples(thought, said).map(list)
    begun = thought if family in OPENED else st.one_of(thought, said)
    return st.tuples(begun, st.lists(st.one_of(thought, said), max_size=4)).map(lambda found: [found[0], *found[1]])


def written(family: str, parts: list[Part]) -> str:
    marks = FAMILIES[STYLES[family].parser]
    if family == "gptoss":
        channels = {True: "analysis", False: "final"}
        return "<|end|><|start|>assistant".join(f"<|channel|>{channels[is_one]}<|message|>{t}" for is_one, t in parts)
    label = f"{marks.label}\n" if marks.label else ""
    texts = [f"{marks.opens}{label}{text}{marks.closes}" if is_one else text for is_one, text in parts]
    return "".join(texts).removeprefix(marks.opens) if family in OPENED else "".join(texts)


def letters(text: str, of: str = "qwvQWV") -> str:
    return "".join(one for one in text if one in of)


def read_whole(policy: tuple[ChatTokenizer, ThoughtReader, Any], new: list[int]) -> Answer:
    chat, reader, _ = policy
    text = chat.decode(new)
    return reader.read(chat.prompt_ids(QUESTION), new, chat.decode) or Answer(text, "", 0, False, tuple(new))


@pytest.mark.parametrize("family", STYLES)
@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_thoughts_and_text_and_marks_are_the_completion(policies: Any, family: str, data: st.DataObject) -> None:
    parts = data.draw(parts_of(family))
    chat, _, tokenizer = policies[family]
    ids = ids_of(tokenizer, written(family, parts))
    new = ids[: data.draw(st.integers(0, len(ids)))]
    found = read_whole(policies[family], new)
    generated = tokenizer.decode(new, skip_special_tokens=False)
    if found.is_open:
        assert (found.text, found.ids) == ("", ())
        assert letters(found.thoughts) == letters(generated)
    else:
        assert letters(found.text, "qwvQWV") == letters(generated, "QWV")
        assert letters(found.thoughts, "qwvQWV") == letters(generated, "qwv")
    assert [mark for mark in MARKS if mark in found.text + found.thoughts] == []
    joints = len(ids_of(tokenizer, "\n")) * found.text.count("\n") if family == "gptoss" else 0
    assert 0 <= found.tokens + len(found.ids) - len(new) <= joints
    assert letters(chat.decode(found.ids)) == letters(found.text)
    if family not in ("olmo3", "granite"):  # whose marks share tokens with the white space beside them
        assert chat.decode(found.ids).lstrip() == found.text.lstrip()


@pytest.mark.parametrize("family", STYLES)
@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_an_answer_that_ended_is_exactly_what_was_said(policies: Any, family: str, data: st.DataObject) -> None:
    parts = [*data.draw(parts_of(family)), (False, "Q")]
    found = read_whole(policies[family], ids_of(policies[family][2], written(family, parts)))
    said = [text for is_one, text in parts if not is_one]
    joint = "\n" if family == "gptoss" else ""
    assert not found.is_open
    assert found.text.lstrip() == joint.join(filter(None, said)).lstrip()
