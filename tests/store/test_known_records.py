"""What a store remembers of its records: the same as what they say, whatever became of the index."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import permutations
from pathlib import Path

import pytest

from lidr.store import TICK_S, KnownRecords, Rate, Record, Store, fingerprint, read_record, write_record
from lidr.store import known_records as module
from lidr.store.index_file import INDEX_FILE

ON = {"measured_on": {"machine": "a card", "model": "org/small"}}


def record(recipe: str, version: str, number: int, step: str = "pair") -> Record:
    identity = {"step": step, "number": number}
    rate = Rate("pairs", 10, float(number))
    return Record(
        recipe, version, 1, step, "pairs", fingerprint(identity), identity, ON, {}, (), "", {}, rate, "2026", {}
    )


def write(store: Store, *records: Record) -> None:
    for one in records:
        (folder := store.folder(one.recipe, one.version, one.place)).mkdir(parents=True, exist_ok=True)
        write_record(folder, one)
    time.sleep(2 * TICK_S)


@pytest.fixture
def store(tmp_path) -> Store:
    made = Store(tmp_path / "store")
    write(made, record("mine", "0.1.0", 1), record("mine", "0.2.0", 2), record("other", "0.1.0", 3))
    return made


@pytest.fixture
def read(monkeypatch) -> list[str]:
    """The records that are read, not only looked for."""
    found: list[str] = []
    whole = module._read
    monkeypatch.setattr(module, "_read", lambda path: found.append(str(path.parents[2].name)) or whole(path))
    return found


def places(store: Store, number: int, recipe: str = "mine") -> list[str]:
    found = KnownRecords(store.root, recipe).of({fingerprint({"step": "pair", "number": number})})
    return [str(folder.relative_to(store.root)) for folder, _ in found]


def seconds(store: Store, recipe: str = "mine") -> float | None:
    return KnownRecords(store.root, recipe).seconds("pair", 10, ON["measured_on"])


def is_as_written(store: Store) -> None:
    assert places(store, 2) == ["mine/0.2.0/iter_1/pair"]
    assert places(store, 9) == []
    assert seconds(store) == 1.5
    assert seconds(store, "other") == 3.0
    assert seconds(store, "none of these") == 2.0


def test_artifacts_are_found_by_fingerprint_and_rates_added_up_and_nothing_is_read_twice(store, read):
    is_as_written(store)
    assert sorted(read) == ["0.1.0", "0.1.0", "0.2.0"]
    read.clear()
    is_as_written(store)
    assert read == []


def test_what_has_changed_is_read_again_and_what_is_gone_is_forgotten(store, read):
    is_as_written(store)
    read.clear()
    write(store, record("mine", "0.2.0", 5), record("mine", "0.3.0", 5))
    shutil.rmtree(store.root / "mine/0.1.0")
    assert places(store, 5) == ["mine/0.2.0/iter_1/pair", "mine/0.3.0/iter_1/pair"]
    assert (places(store, 1), places(store, 2), seconds(store)) == ([], [], 5.0)
    assert sorted(read) == ["0.2.0", "0.3.0"]
    with sqlite3.connect(store.root / INDEX_FILE) as index:
        assert index.execute("SELECT count(*) FROM known").fetchone() == (3,)


@pytest.mark.parametrize("text", ["{", "[]", "{}", "[" * 50_000, '{"schema": 9}'])
def test_a_record_that_cannot_be_read_is_left_out(store, text):
    (store.root / "mine/0.2.0/iter_1/pair/record.json").write_text(text)
    assert (places(store, 2), seconds(store)) == ([], 1.0)


def test_a_record_that_was_altered_is_left_out_and_one_of_an_older_lidr_is_read(store):
    path = store.root / "mine/0.2.0/iter_1/pair/record.json"
    raw = json.loads(path.read_text())
    path.write_text(json.dumps({**raw, "rate": {**raw["rate"], "elapsed_s": 7.0}}))
    assert (places(store, 2), seconds(store)) == ([], 1.0)
    del raw["checksum"]
    path.write_text(json.dumps(raw))
    assert (places(store, 2), seconds(store)) == (["mine/0.2.0/iter_1/pair"], 1.5)


def test_an_unfinished_try_and_a_hidden_folder_are_no_artifacts(store):
    for name in ("mine/0.2.0/iter_1/pair.partial", ".downloads/0.2.0/iter_1/pair"):
        shutil.copytree(store.root / "mine/0.2.0/iter_1/pair", store.root / name)
    is_as_written(store)


def remove(index: Path) -> None:
    index.unlink()


def garble(index: Path) -> None:
    index.write_bytes(b"SQLite format 3\0" + b"\xff" * 4000)


def flip_every_page(index: Path) -> None:
    data = bytearray(index.read_bytes())
    for offset in range(150, len(data), 509):
        data[offset] ^= 1
    index.write_bytes(data)


def run_sql(statement: str) -> Callable[[Path], None]:
    def change(index: Path) -> None:
        with sqlite3.connect(index) as opened:
            opened.execute(statement)
        opened.close()

    return change


DAMAGE = {
    "removed": remove,
    "no database": garble,
    "empty": lambda index: index.write_bytes(b""),
    "flipped bits": flip_every_page,
    "another fingerprint": run_sql("UPDATE known SET fingerprint = 'x'"),
    "another rate": run_sql("UPDATE known SET elapsed_s = 9"),
    "exchanged rows": run_sql("UPDATE known SET path = path || 'x'"),
    "lost rows": run_sql("DELETE FROM known WHERE recipe = 'mine'"),
    "another table": run_sql("ALTER TABLE known RENAME TO others"),
    "other columns": run_sql("ALTER TABLE known ADD COLUMN more TEXT"),
    "texts for numbers": run_sql("UPDATE known SET size = 'many', crc = 'x'"),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_an_index_that_was_damaged_changes_nothing_but_time(store, damage):
    is_as_written(store)
    damage(store.root / INDEX_FILE)
    is_as_written(store)
    is_as_written(store)


def test_a_store_that_cannot_be_written_to_is_read(store, monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise sqlite3.OperationalError("attempt to write a readonly database")

    monkeypatch.setattr("lidr.store.index_file._write", refuse)
    is_as_written(store)
    assert not (store.root / INDEX_FILE).exists()
    assert places(Store(store.root / "none"), 1) == []


@pytest.mark.parametrize("inode", [2**63, 2**64 - 1])
def test_an_inode_that_the_index_cannot_hold_stops_nobody(store, monkeypatch, inode):
    whole = module.stamp_of
    monkeypatch.setattr(module, "stamp_of", lambda path: whole(path)._replace(inode=inode))
    is_as_written(store)


def test_a_rate_that_is_no_number_stops_nobody(store):
    write(store, replace(record("mine", "0.4.0", 4), rate=Rate("pairs", 10**30, float("nan"))))
    assert places(store, 4) == ["mine/0.4.0/iter_1/pair"]
    assert seconds(store) == 1.5


def test_a_rate_with_a_count_just_beyond_what_the_index_can_hold_is_left_out(store):
    write(store, replace(record("mine", "0.4.0", 4), rate=Rate("pairs", 2**63, 4.0)))
    assert places(store, 4) == ["mine/0.4.0/iter_1/pair"]
    assert seconds(store) == 1.5


def test_artifacts_come_by_name_whatever_their_fingerprints(store):
    wanted = {fingerprint({"step": "pair", "number": number}) for number in (1, 2, 3)}
    found = [str(folder.relative_to(store.root)) for folder, _ in KnownRecords(store.root, "mine").of(wanted)]
    assert found == ["mine/0.1.0/iter_1/pair", "mine/0.2.0/iter_1/pair", "other/0.1.0/iter_1/pair"]
    for order in permutations(sorted(wanted)):
        assert [
            str(folder.relative_to(store.root)) for folder, _ in KnownRecords(store.root, "mine").of(order)
        ] == found


def test_processes_that_use_it_at_once_all_see_what_is_there(store):
    code = (
        "import sys; from pathlib import Path; from lidr.store import KnownRecords\n"
        f"on = {ON['measured_on']}\n"
        "for _ in range(20): print(KnownRecords(Path(sys.argv[1]), 'mine').seconds('pair', 10, on))\n"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", code, str(store.root)], stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    for number in range(20):
        write(store, record("unrelated", f"0.{number}.0", number, "filter"))
        os.utime(store.root / "mine/0.1.0/iter_1/pair/record.json")
    said = [process.communicate(timeout=120)[0].split() for process in running]
    assert said == [["1.5"] * 20] * 3


def test_a_record_is_not_parsed_twice_unless_it_changed(store, monkeypatch):
    count: list[str] = []
    monkeypatch.setattr("lidr.store.record.unsealed", lambda raw: count.append("") or raw_without_checksum(raw))
    folder = store.root / "mine/0.1.0/iter_1/pair"
    first = read_record(folder)
    assert read_record(folder) is first
    assert read_record(folder, is_checked=False) is first
    assert len(count) == 1
    write(store, record("mine", "0.1.0", 6))
    assert read_record(folder).rate.elapsed_s == 6.0  # type: ignore[union-attr]


def raw_without_checksum(raw: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in raw.items() if name != "checksum"}


def test_the_rate_of_a_short_run_counts_only_for_about_as_much_as_it_did(store):
    known = KnownRecords(store.root, "mine")
    assert known.seconds("pair", 40, ON["measured_on"]) == 6.0
    assert known.seconds("pair", 41, ON["measured_on"]) is None
    write(store, record("mine", "0.3.0", 60))
    assert KnownRecords(store.root, "mine").seconds("pair", 1000, ON["measured_on"]) == 6000.0


def test_a_rate_of_another_model_or_machine_or_of_a_record_that_does_not_say_is_never_lent(store):
    known = KnownRecords(store.root, "mine")
    assert known.seconds("pair", 10, {"machine": "a card", "model": "org/small"}) == 1.5
    assert known.seconds("pair", 10, {"machine": "a card", "model": "org/large"}) is None
    assert known.seconds("pair", 10, {"machine": "two CPUs", "model": "org/small"}) is None
    write(store, replace(record("mine", "0.9.0", 50), execution={}))
    assert seconds(store) == 1.5
    assert KnownRecords(store.root, "mine").seconds("pair", 10, {}) is None
