"""JSON that could be read in two ways is refused with its place; hostile text takes no longer than any other."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from lidr.errors import RowError
from lidr.tables import json_array, json_lines, parse_json

HERE = Path("x.jsonl")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"a": 1, "b": {"c": 1, "c": 2}}', r'^x\.jsonl:7: the key "c" stands twice in one object'),
        ('{"a": "\\"NaN", "b": [1, NaN]}', r"^x\.jsonl:7:25: NaN is no JSON; write null"),
        ('{"a":\n Infinity}', r"^x\.jsonl:8:2: Infinity is no JSON"),
        ('{"a": }', r"^x\.jsonl:7:7: not JSON: Expecting value"),
        ('{"\\u00e9": 1, "é": 2}', r'^x\.jsonl:7: the key "\\u00e9" stands twice'),
    ],
)
def test_what_is_read_in_two_ways_is_refused(text, said):
    with pytest.raises(RowError, match=said):
        parse_json(text, HERE, line=7)


def test_lines_are_numbered_and_blank_ones_are_none():
    data = '\ufeff{"a": "\u2028"}\r\n\n \n{"a": 2}'.encode()
    assert list(json_lines(HERE, data)) == [(1, {"a": "\u2028"}), (4, {"a": 2})]
    assert list(json_array(HERE, b'[{"a": 1},\n\n{"a": 2}]')) == [(1, {"a": 1}), (3, {"a": 2})]


@pytest.mark.parametrize(
    "text", ["[" * 10**6, '"' + '\\"' * 500_000, '{"a": "' + "x" * 10**6, '[NaN, "' + '\\"' * 500_000, '"' * 10**6]
)
def test_a_million_hostile_characters_are_refused_within_a_second(text):
    begun = time.process_time()
    with pytest.raises(RowError):
        parse_json(text, HERE)
    assert time.process_time() - begun < 1
