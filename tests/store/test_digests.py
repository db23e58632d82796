"""Digests of files and rows, and the memory that spares reading files again."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pytest

from lidr.store import digests, index_file
from lidr.store.digests import hashed, kept_digests, kept_sha256
from lidr.store.fingerprints import file_sha256
from lidr.store.index_file import INDEX_FILE, TICK_S, Stamp, remember
from lidr.store.row_digests import RowDigest, row_digest


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class Reading:
    """Names of the files that were read to hash them, since the last question; and what a process remembers of them."""

    def __init__(self) -> None:
        self._names: list[str] = []

    def __call__(self, path: Path) -> str:
        self._names.append(path.name)
        return file_sha256(path)

    def since(self) -> list[str]:
        found, self._names = self._names, []
        return found

    def in_another_process(self) -> None:
        """Forget what this one read: the index alone knows it."""
        digests._hashed.clear()


@pytest.fixture
def read(monkeypatch) -> Reading:
    reading = Reading()
    monkeypatch.setattr(digests, "file_sha256", reading)
    monkeypatch.setattr(digests, "_hashed", {})
    return reading


@pytest.fixture
def root(tmp_path) -> Path:
    """Of a store."""
    (path := tmp_path / "runs").mkdir()
    return path


def settled(path: Path, content: bytes) -> Path:
    """A file that was written so long ago that a later change has other times."""
    path.write_bytes(content)
    time.sleep(2 * TICK_S)
    return path


def index_of(root: Path) -> list[str]:
    with closing(sqlite3.connect(root / INDEX_FILE)) as index:
        return [path for (path,) in index.execute("SELECT path FROM files ORDER BY path")]


def test_a_file_is_read_once_until_it_changes(tmp_path, root, read):
    path = settled(tmp_path / "weights", b"a")
    assert [kept_sha256(path, root) for _ in range(3)] == [sha256(b"a")] * 3
    assert read.since() == ["weights"]
    read.in_another_process()
    assert kept_sha256(path, root) == sha256(b"a")
    assert read.since() == []
    for content in (b"b", b"bc"):  # another content; the same time, another size
        settled(path, content)
        os.utime(path, ns=(0, 1))
        time.sleep(2 * TICK_S)
        assert [kept_sha256(path, root) for _ in range(2)] == [sha256(content)] * 2
        assert read.since() == ["weights"]


def test_a_process_remembers_what_it_hashed_without_an_index(tmp_path, read):
    path = settled(tmp_path / "weights", b"a")
    assert [hashed(path) for _ in range(2)] == [kept_sha256(path, tmp_path / "runs")] * 2 == [sha256(b"a")] * 2
    assert (read.since(), (tmp_path / "runs").exists()) == (["weights"], False)
    read.in_another_process()
    assert hashed(path) == sha256(b"a")
    assert read.since() == ["weights"]


def test_a_file_that_was_just_written_is_read_again(tmp_path, root, read, monkeypatch):
    monkeypatch.setattr(index_file, "TICK_S", 60)
    (path := tmp_path / "weights").write_bytes(b"a")
    for _ in range(2):
        assert kept_sha256(path, root) == sha256(b"a")
        assert read.since() == ["weights"]


def test_a_file_that_changes_while_it_is_read_is_read_again(tmp_path, root, monkeypatch):
    path = settled(tmp_path / "weights", b"a")

    def reading(path: Path) -> str:
        found = file_sha256(path)
        path.write_bytes(b"b")
        return found

    with monkeypatch.context() as patch:
        patch.setattr(digests, "file_sha256", reading)
        kept_sha256(path, root)
    assert list(root.iterdir()) == []  # nothing is remembered of what may be half of each
    assert kept_sha256(path, root) == sha256(b"b")


@pytest.mark.parametrize(("second", "now", "is_settled"), [
    (0, 2.5, True), (0, 1.5, False), (0.5, 0.55, True), (0.5, 0.51, False), (0, 2.0, False), (0.5, 0.52, False),
])  # fmt: skip
def test_a_change_within_one_tick_of_the_file_system_has_no_time_of_its_own(monkeypatch, second, now, is_settled):
    monkeypatch.setattr(time, "time_ns", lambda: round((7 + now) * 1e9))
    stamp = Stamp(1, 0, round((7 + second) * 1e9), 1)
    assert stamp.is_settled == is_settled


def test_files_of_one_look_stand_in_the_index_by_their_way_from_the_store_and_links_share_theirs(tmp_path, root, read):
    paths = [settled(tmp_path / name, name.encode()) for name in ("one", "two")]
    (link := tmp_path / "link").symlink_to(paths[0])
    assert kept_digests(paths, root) == [sha256(b"one"), sha256(b"two")]
    read.in_another_process()
    assert kept_digests([*reversed(paths), link], root) == [sha256(b"two"), sha256(b"one"), sha256(b"one")]
    assert read.since() == ["one", "two"]
    assert index_of(root) == ["../one", "../two"]
    assert [path.name for path in root.iterdir()] == [".index.sqlite"]


def test_more_files_than_one_question_may_name_are_remembered_all(tmp_path, root, read, monkeypatch):
    monkeypatch.setattr(digests, "_AT_ONCE", 2)
    paths = [tmp_path / str(number) for number in range(5)]
    for path in paths:
        path.write_text(path.name)
    settled(paths[0], b"0")
    found = kept_digests(paths, root)
    assert (len(read.since()), len(set(found))) == (5, 5)
    read.in_another_process()
    assert kept_digests(paths, root) == found
    assert read.since() == []


@pytest.mark.parametrize("content", [b"{", b"no database" * 100])
def test_a_damaged_index_is_made_again(tmp_path, root, read, content):
    path = settled(tmp_path / "weights", b"a")
    (root / INDEX_FILE).write_bytes(content)
    for _ in range(2):
        read.in_another_process()
        assert kept_sha256(path, root) == sha256(b"a")
    assert read.since() == ["weights"]


def test_an_index_of_another_form_or_one_that_another_process_holds_is_done_without(tmp_path, root, read, monkeypatch):
    path = settled(tmp_path / "weights", b"a")
    monkeypatch.setattr(index_file, "_PATIENCE_S", 0.1)
    with closing(sqlite3.connect(root / INDEX_FILE, isolation_level=None)) as index:
        index.execute("CREATE TABLE files (path, more)")
        index.execute("INSERT INTO files VALUES ('../weights', 1)")
        assert kept_sha256(path, root) == sha256(b"a")
        index.execute("DROP TABLE files")
        index.execute("BEGIN EXCLUSIVE")
        assert kept_sha256(path, root) == sha256(b"a")


def test_what_is_remembered_at_once_is_remembered_whole_or_not_at_all(root):
    both = [("CREATE TABLE one (x)", [()]), ("INSERT INTO one VALUES (?)", [(1,)])]
    remember(root, [*both, ("INSERT INTO nowhere VALUES (?)", [(1,)])])
    with closing(sqlite3.connect(root / INDEX_FILE)) as index:
        assert index.execute("SELECT name FROM sqlite_master").fetchall() == []
        remember(root, both)
        assert index.execute("SELECT x FROM one").fetchall() == [(1,)]


def test_a_digest_of_rows_is_over_their_canonical_lines_in_order():
    table = pa.table({"b": [1, 2], "a": ["é", None]})
    lines = '{"a":"é","b":1}\n{"a":null,"b":2}\n'.encode()
    assert row_digest([table]) == sha256(lines)
    assert row_digest([table.slice(0, 1), table.slice(1)]) == sha256(lines)
    assert row_digest([table.select(["a", "b"])]) == sha256(lines)
    assert row_digest([table.slice(1), table.slice(0, 1)]) != sha256(lines)
    digest = RowDigest()
    assert (digest.rows, digest.hexdigest()) == (0, sha256(b""))
    digest.add(table)
    digest.add(table.slice(0, 1))
    assert digest.rows == 3
