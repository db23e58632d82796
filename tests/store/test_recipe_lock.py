"""Locks: written whole, read as commits and contents, and refused where they are something else."""

from __future__ import annotations

import json

import pytest

from lidr.errors import StoreError
from lidr.store.recipe_lock import LOCK_FILE, Content, Lock, read_contents, read_lock, read_whole_lock, write_lock

COMMITS = {"b/model": "2" * 40, "a/model": "1" * 40}
CONTENTS = {f"b/model@{'2' * 40}": Content("v1", "d" * 64, 7), f"a/model@{'1' * 40}": Content(None, "e" * 64, 1)}


def test_a_lock_is_read_as_it_was_written_and_stands_in_order(tmp_path):
    folder = tmp_path / "runs" / "r" / "1.0.0"
    assert write_lock(folder, COMMITS, CONTENTS) == folder / LOCK_FILE
    assert read_lock(folder) == COMMITS
    assert read_contents(folder) == CONTENTS
    assert read_whole_lock(folder) == Lock(COMMITS, CONTENTS)
    raw = json.loads((folder / LOCK_FILE).read_text())
    assert raw["schema"] == 2
    assert [list(raw["models"]), list(raw["contents"])] == [sorted(COMMITS), sorted(CONTENTS)]
    assert raw["contents"][f"b/model@{'2' * 40}"] == {"requested": "v1", "digest": "d" * 64, "files": 7}


def test_contents_that_are_not_given_stay(tmp_path):
    write_lock(tmp_path, COMMITS, CONTENTS)
    write_lock(tmp_path, {"a/model": "3" * 40})
    assert read_whole_lock(tmp_path) == Lock({"a/model": "3" * 40}, CONTENTS)
    write_lock(tmp_path, {}, {})
    assert read_whole_lock(tmp_path) == Lock({}, {})


def test_without_a_lock_nothing_is_locked(tmp_path):
    assert read_whole_lock(tmp_path) == Lock({}, {})
    assert (read_lock(tmp_path), read_contents(tmp_path)) == ({}, {})


def test_the_first_schema_had_no_contents(tmp_path):
    (tmp_path / LOCK_FILE).write_text(json.dumps({"schema": 1, "models": COMMITS}))
    assert read_whole_lock(tmp_path) == Lock(COMMITS, {})
    (tmp_path / LOCK_FILE).write_text('{"schema": 2}')
    assert read_whole_lock(tmp_path) == Lock({}, {})


@pytest.mark.parametrize("schema", [0, 3, None, "2"])
def test_another_schema_is_refused(tmp_path, schema):
    (tmp_path / LOCK_FILE).write_text(json.dumps({"schema": schema, "models": {}}))
    with pytest.raises(StoreError, match=rf"schema {schema}, this lidr reads 1 to 2: update lidr$"):
        read_lock(tmp_path)


@pytest.mark.parametrize("text", ["{", "[]", "3", "[" * 100_000, '{"schema": 2, "models": {"a/b": "x", "c/d": 1}}'])
def test_a_file_that_is_no_lock_is_to_be_made_again(tmp_path, text):
    (tmp_path / LOCK_FILE).write_text(text)
    with pytest.raises(StoreError, match=r"recipe\.lock\.json: damaged, no lock as lidr writes it; remove it and run"):
        read_whole_lock(tmp_path)


def test_what_a_lock_says_of_a_content(tmp_path):
    lock = Lock(COMMITS, CONTENTS)
    assert lock.digest_of("b/model", "2" * 40) == "d" * 64
    assert lock.digest_of("b/model", "3" * 40) is None


def test_a_lock_that_was_altered_is_named_and_one_of_an_earlier_lidr_is_read(tmp_path):
    path = write_lock(tmp_path, {"a/b": "1" * 40})
    whole = path.read_text(encoding="utf-8")
    path.write_text(whole.replace("1" * 40, "1" * 39 + "3"), encoding="utf-8")
    for read in (read_lock, read_contents, read_whole_lock):
        with pytest.raises(StoreError, match=r"lock\.json: its checksum is of another content.*lidr lock RECIPE"):
            read(tmp_path)
    unsealed = {name: value for name, value in json.loads(whole).items() if name != "checksum"}
    path.write_text(json.dumps(unsealed), encoding="utf-8")
    assert read_lock(tmp_path) == {"a/b": "1" * 40}
