from __future__ import annotations

import pytest

from lidr.errors import StoreError
from lidr.store.journal import Journal


def test_rows_are_there_again_after_reopening(tmp_path):
    with Journal(tmp_path / "j.jsonl") as journal:
        journal.add("a", {"text": "línea\nuno \u2028 dos"})
        journal.add("b", {"text": "日本"})
    with Journal(tmp_path / "j.jsonl") as journal:
        assert journal.rows == {"a": {"text": "línea\nuno \u2028 dos"}, "b": {"text": "日本"}}


def test_a_torn_last_line_is_cut_off_at_every_byte(tmp_path):
    path = tmp_path / "j.jsonl"
    with Journal(path) as journal:
        journal.add("a", {"text": "één"})
        journal.add("b", {"text": "zwölf"})
    whole = path.read_bytes()
    first = whole.index(b"\n") + 1
    for length in range(first, len(whole)):
        path.write_bytes(whole[:length])
        with Journal(path) as journal:
            assert list(journal.rows) == ["a"]
            journal.add("c", {"text": ""})
        assert path.read_bytes().startswith(whole[:first] + b'{"key": "c"')


def test_an_added_row_is_on_disk_before_add_returns(tmp_path):
    journal = Journal(tmp_path / "j.jsonl")
    journal.add("a", {"text": "x"})
    assert (tmp_path / "j.jsonl").read_text() == '{"key": "a", "text": "x"}\n'
    journal.close()


@pytest.mark.parametrize("line", ["{", "[1]", "3", '{"text": "x"}', '{"key": []}'])
def test_a_damaged_line_is_named_and_nothing_is_cut_off(tmp_path, line):
    (path := tmp_path / "iter_1" / "generate.tmp" / "j.jsonl").parent.mkdir(parents=True)
    path.write_text(text := f'{{"key": "a", "text": "x"}}\n{line}\n{{"key": "b", "text": "y"}}\n')
    with pytest.raises(StoreError, match=r"j\.jsonl:2: damaged line\. Take it out by hand to keep the others, or make"):
        Journal(path)
    assert path.read_text() == text
