"""Arrow's ways to hold text, as one."""

from __future__ import annotations

import pyarrow as pa
import pytest

from lidr.errors import RowError
from lidr.tables import decoded, plain_type
from lidr.tables.arrow_types import plain_batch, text_type

TEXTS = ["a", "a", None, "Ще"]
TURNS = [[{"role": "user", "content": "a"}], None, [], [{"role": "x", "content": None}, {"role": "y", "content": "b"}]]
MESSAGE = pa.struct([("role", pa.string()), ("content", pa.string())])

HELD = {
    "dictionary": pa.array(TEXTS).dictionary_encode(),
    "dictionary of large texts": pa.array(TEXTS, pa.large_string()).dictionary_encode(),
    "run ends": pa.RunEndEncodedArray.from_arrays([2, 3, 4], ["a", None, "Ще"]),
    "JSON": pa.ExtensionArray.from_storage(pa.json_(), pa.array(TEXTS)),
    "view": pa.array(TEXTS, pa.string_view()),
    "large": pa.array(TEXTS, pa.large_string()),
}


@pytest.mark.parametrize("held", HELD)
@pytest.mark.parametrize("cut", [0, 1])
def test_texts_are_read_whatever_holds_them(held, cut):
    column = HELD[held][cut:]
    (found,) = plain_batch(pa.record_batch([column], ["a"]), "x").columns
    assert found.to_pylist() == TEXTS[cut:]
    assert found.type == plain_type(column.type)
    assert text_type(column.type)


@pytest.mark.parametrize("cut", [0, 1])
@pytest.mark.parametrize(
    "kind",
    [pa.list_view(MESSAGE), pa.large_list_view(MESSAGE), pa.large_list(MESSAGE),
     pa.list_(pa.struct([("role", pa.dictionary(pa.int32(), pa.string())), ("content", pa.string())]))],
    ids=str,
)  # fmt: skip
def test_messages_are_read_whatever_lists_them(kind, cut):
    column = pa.array(TURNS, kind)[cut:]
    (found,) = plain_batch(pa.record_batch([column], ["a"]), "x").columns
    assert found.to_pylist() == TURNS[cut:]
    assert pa.types.is_list(found.type) or pa.types.is_large_list(found.type)


def test_bytes_are_texts_where_they_are_utf8():
    assert decoded(pa.array([b"a", None, "Ще".encode()], pa.binary()), "x").to_pylist() == ["a", None, "Ще"]
    with pytest.raises(RowError, match=r"^x, row 12: byte 2 of its value, 0xff, is not UTF-8; write the column again"):
        decoded(pa.array([b"a", b"b\xff"], pa.large_binary()), "x", 10)
