from __future__ import annotations

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
