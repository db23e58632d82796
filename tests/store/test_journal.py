from __future__ import annotations

import hashlib
import random
import tracemalloc

import pytest

from lidr.errors import StoreError
from lidr.store.journal import Journal, _Places


def test_rows_are_there_again_after_reopening(tmp_path):
    with Journal(tmp_path / "a" / "b" / "j.jsonl") as journal:
        journal.add("a", {"text": "línea\nuno \u2028 dos"})
        journal.add("b", {"text": "日本"})
    with Journal(tmp_path / "a" / "b" / "j.jsonl") as journal:
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
    written = (tmp_path / "j.jsonl").read_bytes()
    journal.close()
    text = b'{"key": "a", "text": "x"}'
    checksum = hashlib.sha256(text).hexdigest()[:16]
    assert written == f'{{"key": "a", "text": "x", "checksum": "{checksum}"}}\n'.encode()


@pytest.mark.parametrize("line", ["{", "[1]", "3", '{"text": "x"}', '{"key": []}', '{"key": "c",\r "text": \r'])
def test_a_damaged_line_is_named_and_nothing_is_cut_off(tmp_path, line):
    (path := tmp_path / "iter_1" / "generate.partial" / "work" / "j.jsonl").parent.mkdir(parents=True)
    path.write_bytes(content := f'{{"key": "a", "text": "x"}}\n{line}\n{{"key": "b", "text": "y"}}\n'.encode())
    with pytest.raises(StoreError, match=r"j\.jsonl:2: damaged line\. Take it out by hand to keep the others, or make"):
        Journal(path)
    assert path.read_bytes() == content


def whole(path) -> bytes:
    """Three rows, as lidr writes them."""
    with Journal(path) as journal:
        for key, text in (("a", "één"), ("b", "tab\there"), ("c", "\u2028 日本")):
            journal.add(key, {"text": text, "finish_reason": "stop"})
    return path.read_bytes()


def rows_of(path):
    with Journal(path) as journal:
        return dict(journal.rows)


@pytest.mark.parametrize("bit", range(8))
def test_no_flipped_bit_of_a_journal_gives_another_row(tmp_path, bit):
    written = whole(path := tmp_path / "iter_1/generate.partial/work/j.jsonl")
    rows = rows_of(path)
    for offset in range(len(written)):
        path.write_bytes(written[:offset] + bytes([written[offset] ^ (1 << bit)]) + written[offset + 1 :])
        if offset == len(written) - 1:  # without its newline the last line is a torn one: its row is made again
            assert list(rows_of(path)) == ["a", "b"]
            continue
        line = min(written[:offset].count(b"\n"), 2) + 1
        with pytest.raises(StoreError, match=rf"j\.jsonl:{line}: damaged line\. .*--rebuild iter_1/generate"):
            Journal(path)
        path.write_bytes(written)
    path.write_bytes(written)
    assert rows_of(path) == rows


@pytest.mark.parametrize("torn", [b"", b'{"key": "d", "te', b'{"key": "d", "checksum": "0123456789abcdef"}'])
@pytest.mark.parametrize("nuls", [1, 511, 4096, (1 << 20) - 1, (2 << 20) + 5])
def test_nuls_and_a_torn_line_at_the_end_are_cut_off(tmp_path, torn, nuls):
    written = whole(path := tmp_path / "j.jsonl")
    path.write_bytes(written + torn + b"\0" * nuls)
    assert list(rows_of(path)) == ["a", "b", "c"]
    assert path.read_bytes() == written


def test_nothing_but_nuls_is_an_empty_journal(tmp_path):
    (path := tmp_path / "j.jsonl").write_bytes(b"\0" * 5000)
    assert rows_of(path) == {}


def test_nuls_before_a_whole_line_are_damage(tmp_path):
    written = whole(path := tmp_path / "a/b/j.jsonl")
    first, rest = written.split(b"\n", 1)
    path.write_bytes(b"\0" * len(first) + b"\n" + rest)
    with pytest.raises(StoreError, match=r"j\.jsonl:1: damaged line"):
        Journal(path)


def test_lines_of_an_earlier_lidr_are_read_and_gone_on_with(tmp_path):
    (path := tmp_path / "j.jsonl").write_text('{"key": "a", "text": "x"}\n{"key": "b", "text": "y"}\n{"key": "c')
    with Journal(path) as journal:
        assert list(journal.rows) == ["a", "b"]
        journal.add("c", {"text": "z"})
    assert [row["text"] for row in rows_of(path).values()] == ["x", "y", "z"]


def test_a_carriage_return_ends_no_line(tmp_path):
    (path := tmp_path / "a/b/j.jsonl").parent.mkdir(parents=True)
    path.write_bytes(text := b'{"key": "a", \r"text": "x"}\n{"key": "b",\r}\n{"key": "c", "text": "y"}\n')
    with pytest.raises(StoreError, match=r"j\.jsonl:2: damaged line"):
        Journal(path)
    assert path.read_bytes() == text


def test_after_a_line_with_a_checksum_one_without_is_damaged(tmp_path):
    written = whole(path := tmp_path / "a/b/j.jsonl")
    path.write_bytes(written + b'{"key": "d", "text": "x"}\n')
    with pytest.raises(StoreError, match=r"j\.jsonl:4: damaged line.*its checksum is of another line, or damaged"):
        Journal(path)


def test_a_damaged_line_is_counted_where_a_key_stands_twice(tmp_path):
    (path := tmp_path / "iter_1" / "generate.tmp" / "j.jsonl").parent.mkdir(parents=True)
    path.write_text('{"key": "a", "text": "x"}\n{"key": "a", "text": "y"}\n{\n')
    with pytest.raises(StoreError, match=r"j\.jsonl:3: damaged line\."):
        Journal(path)


def test_a_journal_is_held_by_the_places_of_its_rows_not_by_their_texts(tmp_path):
    path, count = tmp_path / "j.jsonl", 20_000
    with Journal(path) as journal:
        for number in range(count):
            journal.add(f"prompt-{number}/es", {"text": "x" * 1000, "prompt_tokens": number})
        assert journal.rows["prompt-7/es"] == {"text": "x" * 1000, "prompt_tokens": 7}
    tracemalloc.start()
    try:
        with Journal(path) as journal:
            held, _ = tracemalloc.get_traced_memory()
            assert journal.rows["prompt-19999/es"]["prompt_tokens"] == 19_999
    finally:
        tracemalloc.stop()
    assert held / count < 40


def test_places_are_found_as_in_a_dictionary():
    draw, places, expected = random.Random(3), _Places(), {}
    for step in range(20_000):
        key = f"prompt-{draw.randrange(4_000)}/es"
        if draw.random() < 0.2:
            places.put(key, None)
            expected.pop(key, None)
        else:
            places.put(key, step)
            expected[key] = step
    assert {f"prompt-{number}/es": places.get(f"prompt-{number}/es") for number in range(5_000)} == {
        f"prompt-{number}/es": expected.get(f"prompt-{number}/es") for number in range(5_000)
    }
    assert sorted(places.all()) == sorted(expected.values())


def test_rows_that_are_refused_are_as_if_they_were_not_there(tmp_path):
    path = tmp_path / "j.jsonl"
    with Journal(path) as journal:
        for key, number in (("a", 1), ("b", 2), ("a", 3), ("b", 0)):
            journal.add(key, {"n": number})
    with Journal(path, keeps=lambda key, row: row["n"] > 0) as journal:
        assert journal.rows == {"a": {"n": 3}}
        journal.add("b", {"n": 4})
        assert journal.rows == {"a": {"n": 3}, "b": {"n": 4}}


def test_a_row_that_was_damaged_after_the_journal_was_opened_is_not_given_out(tmp_path):
    (path := tmp_path / "iter_1" / "generate.partial" / "work" / "j.jsonl").parent.mkdir(parents=True)
    with Journal(path) as journal:
        journal.add("a", {"text": "one"})
        journal.add("b", {"text": "two"})
        path.write_bytes(path.read_bytes().replace(b"two", b"too"))
        assert journal.rows["a"] == {"text": "one"}
        with pytest.raises(
            StoreError, match=r"j\.jsonl, byte 60: damaged line.*--rebuild iter_1/generate \(found: its"
        ):
            _ = journal.rows["b"]
