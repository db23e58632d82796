"""What is on the disk, not only in the kernel's memory, when a record or a journal says that it is there.

A test cannot cut the power. It sees what was flushed, when, and how much of it was in the file by then.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import NamedTuple

import pytest

from lidr.store.journal import Journal
from lidr.store.record import write_json


class Flushed(NamedTuple):
    """A flush to disk: which file, how many bytes it held, and what stood under the final name at that moment."""

    inode: int
    size: int
    named: str | None


@pytest.fixture
def flushed(monkeypatch, tmp_path) -> list[Flushed]:
    seen: list[Flushed] = []
    real, final = os.fsync, tmp_path / "value.json"

    def fsync(descriptor: int) -> None:
        real(descriptor)
        status = os.fstat(descriptor)
        seen.append(Flushed(status.st_ino, status.st_size, final.read_text() if final.exists() else None))

    monkeypatch.setattr("os.fsync", fsync)
    return seen


def test_json_is_on_the_disk_whole_before_it_takes_its_name(tmp_path, flushed):
    path = tmp_path / "value.json"
    path.write_text("old")
    write_json(path, {"value": ["x"] * 10_000})
    (once,) = flushed
    assert once == Flushed(path.stat().st_ino, path.stat().st_size, "old")
    assert json.loads(path.read_text()) == {"value": ["x"] * 10_000}


def test_a_closed_journal_is_on_the_disk_whole(tmp_path, flushed):
    with Journal(path := tmp_path / "j.jsonl") as journal:
        journal.add("a", {"text": "x" * 100_000})
    (once,) = flushed
    assert (once.inode, once.size) == (path.stat().st_ino, path.stat().st_size)
    journal.close()  # again is no error, and flushes nothing
    assert len(flushed) == 1


def test_what_says_the_same_already_is_not_written_again(tmp_path, flushed):
    path: Path = tmp_path / "value.json"
    write_json(path, {"a": 1}, only_changes=True)
    before = path.stat()
    write_json(path, {"a": 1}, only_changes=True)
    assert (path.stat().st_ino, path.stat().st_mtime_ns, len(flushed)) == (before.st_ino, before.st_mtime_ns, 1)
    write_json(path, {"a": 2}, only_changes=True)
    assert json.loads(path.read_text()) == {"a": 2}
    path.write_text("{")  # damaged: written anew
    write_json(path, {"a": "é"}, only_changes=True)
    assert path.read_text(encoding="utf-8") == '{\n "a": "é"\n}\n'
    write_json(path, {"a": "é"})  # unless asked to leave it alone
    assert len(flushed) == 4
