"""Contents against records: by what is read, and by what the store's index remembers."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
import time
from pathlib import Path

import pyarrow as pa
import pytest

from lidr.errors import StoreError
from lidr.rows import Prompt
from lidr.store import digests
from lidr.store.artifact import Artifact, ArtifactWriter, open_artifact
from lidr.store.digests import hashed, kept_sha256
from lidr.store.fingerprints import file_sha256, fingerprint
from lidr.store.index_file import INDEX_FILE, TICK_S
from lidr.store.known_records import KnownRecords
from lidr.store.record import Rate, Record, read_record, write_record
from lidr.store.sealed_json import read_sealed, write_json
from lidr.store.store import Store
from tests.rewritten import rewritten

FROZEN = Path(__file__).parents[1] / "frozen/store"


@pytest.fixture
def store(tmp_path) -> Store:
    """A store with a copy of what commit cf61f58 wrote: records without checksums."""
    shutil.copytree(FROZEN / "frozen", tmp_path / "store/frozen")
    return Store(tmp_path / "store")


@pytest.fixture
def written(tmp_path) -> Artifact:
    """One artifact as this lidr writes it: rows, and a folder with a model."""
    folder = tmp_path / "store/one/0.1.0/iter_1/prompts"
    writer = ArtifactWriter(folder, Prompt)
    rows = [{"prompt_id": f"p{i}", "language": "en", "text": f"text {i}"} for i in range(50)]
    writer.data.write(pa.Table.from_pylist(rows, Prompt.schema))
    (folder / "model").mkdir()
    (folder / "model/model.safetensors").write_bytes(os.urandom(5000))
    (folder / "model/config.json").write_text("{}")
    files, digest = writer.finish()
    identity = {"step": "prompts", "inputs": {}}
    write_record(folder, Record(
        recipe="one", version="0.1.0", iteration=1, step="prompts", writes="prompts", fingerprint=fingerprint(identity),
        identity=identity, execution={}, inputs={}, files=files, digest=digest, counts={"n": 50, "more": {"1": 2}},
        rate=Rate("prompts", 50, 0.25), finished="2026-11-29T00:00:00+00:00", versions={},
    ))  # fmt: skip
    return open_artifact(folder)


def flip(path: Path, offset: int = -1) -> None:
    """Change a byte and put the times back that a tool can put back."""
    status, data = path.stat(), bytearray(path.read_bytes())
    data[offset] ^= 4
    path.write_bytes(data)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.fixture
def count(monkeypatch) -> list[str]:
    """Names of the files that are read to be hashed."""
    read: list[str] = []

    def reading(path: Path) -> str:
        read.append(path.name)
        return file_sha256(path)

    monkeypatch.setattr(digests, "file_sha256", reading)
    monkeypatch.setattr(digests, "_hashed", {})
    return read


def test_every_way_to_a_damaged_shard_is_closed(written):
    flip(written.folder / "data/00000.parquet", 100)
    for use in (
        lambda: written.read(),
        lambda: next(written.batches(10)),
        lambda: written.tables,
        lambda: written.verified(),
        lambda: written.file("data/00000.parquet"),
    ):
        with pytest.raises(StoreError, match=r"00000\.parquet: damaged: .*lidr run RECIPE --rebuild iter_1/prompts"):
            use()
    assert written.model.is_dir()  # this part is whole


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_a_model_whose_files_are_not_those_of_its_record_is_not_given_out(written, name):
    flip(written.folder / "model" / name)
    with pytest.raises(StoreError, match=rf"{name}: damaged"):
        _ = written.model


@pytest.mark.parametrize("name", ["data/00001.parquet", "model/adapter_config.json", "extra.txt", "new/part/x.parquet"])
def test_a_file_that_no_record_names_is_refused(written, name):
    (path := written.folder / name).parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    with pytest.raises(StoreError, match=rf"{name}: no record names this file"):
        open_artifact(written.folder)
    assert written.read().num_rows == 50  # and nobody reads it


@pytest.mark.parametrize("name", [".lock", "data/.nfs0001", ".record.json.tmp", "progress.json", "work/log.txt"])
def test_locks_and_what_a_try_leaves_may_lie_there(written, name):
    (path := written.folder / name).parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    assert open_artifact(written.folder).record == written.record


def test_a_file_that_the_record_does_not_name_is_not_given_out(written):
    with pytest.raises(StoreError, match=r"its record names no file data/9\.parquet"):
        written.file("data/9.parquet")


def test_no_flipped_bit_of_a_record_is_taken_for_what_was_written(written):
    path = written.folder / "record.json"
    whole = path.read_bytes()
    for offset in range(len(whole)):
        path.write_bytes(whole[:offset] + bytes([whole[offset] ^ 1]) + whole[offset + 1 :])
        try:
            found = read_record(written.folder)
        except StoreError:
            continue
        assert found == written.record, offset  # it was white space
    path.write_bytes(whole)
    assert read_record(written.folder) == written.record


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"fingerprint": "0" * 64}, "its fingerprint is not that of the settings"),
        ({"identity": {"step": "prompts", "inputs": {}, "seed": 8}}, "its fingerprint is not that of the settings"),
        ({"digest": "0" * 64}, "its digest is not that of the files"),
        ({"inputs": {"responses": {"place": "x", "fingerprint": "1" * 64, "digest": ""}}}, None),
    ],
)
def test_a_record_whose_own_digests_contradict_each_other_is_damaged(written, change, said):
    rewritten(written.folder / "record.json", **change)
    if said is None:  # an input that its settings do not know says nothing
        assert read_record(written.folder) is not None
        return
    with pytest.raises(StoreError, match=rf"record\.json: damaged \({said}.*--rebuild iter_1/prompts"):
        read_record(written.folder)


def test_a_record_that_names_a_file_outside_its_folder_is_damaged(written):
    files = [*json.loads((written.folder / "record.json").read_text())["files"]]
    rewritten(written.folder / "record.json", files=[*files, {**files[0], "path": "../../../x", "rows": None}])
    with pytest.raises(StoreError, match=r"damaged \(it names a file outside its folder, \.\./\.\./\.\./x\)"):
        read_record(written.folder)


def test_a_sealed_file_says_whether_it_is_whole(tmp_path):
    value = {"a": {"10": 1, "9": [1.5, None]}, "b": "línea"}
    write_json(path := tmp_path / "x.json", value, sealed=True)
    assert read_sealed(path) == value
    canonical = b'{"a":{"10":1,"9":[1.5,null]},"b":"l\\u00ednea"}'  # a later lidr must find the same
    assert json.loads(path.read_text())["checksum"] == hashlib.sha256(canonical).hexdigest()
    path.write_text(json.dumps(dict(reversed(json.loads(path.read_text()).items()))))  # by a tool that sorts otherwise
    assert read_sealed(path) == value
    path.write_text(path.read_text().replace("1.5", "1.6"))
    with pytest.raises(ValueError, match="its checksum is of another content"):
        read_sealed(path)
    path.write_text(json.dumps(value))  # of an earlier lidr
    assert read_sealed(path) == value


def test_every_record_of_an_earlier_lidr_is_whole_and_a_flip_in_any_of_its_files_is_found(store):
    folders = [folder for folder, _ in store.records_of("frozen", "0.1.0")]
    assert len(folders) == 23
    for folder in folders:
        artifact = store.check(folder)
        assert artifact.verified() == tuple(sorted(folder / entry.path for entry in artifact.record.files))
        for entry in artifact.record.files:
            if not entry.bytes:
                continue
            flip(folder / entry.path, entry.bytes // 2)
            with pytest.raises(StoreError, match="damaged: its SHA-256 begins with"):
                store.check(folder)
            with pytest.raises(StoreError, match="damaged: its SHA-256 begins with"):
                artifact.file(entry.path)
            flip(folder / entry.path, entry.bytes // 2)
        assert store.check(folder).verified()


def test_whoever_needs_all_of_a_run_is_told_of_a_damaged_record_and_others_go_on(store):
    (store.folder("frozen", "0.1.0", "iter_1/filter") / "record.json").write_text("{")
    others = KnownRecords(store.root, "frozen")
    prints = {record.fingerprint for path in store.root.glob("frozen/*/iter_*/*") if (record := _sound(path))}
    assert len(list(others.of(prints))) == 22
    with pytest.raises(StoreError, match=r"iter_1/filter/record\.json: damaged, no JSON object"):
        store.records_of("frozen", "0.1.0")


def _sound(folder: Path) -> Record | None:
    try:
        return read_record(folder)
    except StoreError:
        return None


def settle() -> None:
    time.sleep(2 * TICK_S)


def test_a_second_look_reads_nothing_and_one_after_a_change_reads_what_changed(written, count, tmp_path):
    store = Store(tmp_path / "store")
    settle()
    store.check(written.folder)
    assert sorted(count) == ["00000.parquet", "config.json", "model.safetensors"]
    for name, change, read in (
        ("nothing", lambda path: None, []),
        ("mtime alone", lambda path: os.utime(path, (1, 1)), ["config.json"]),
        ("the inode", lambda path: (shutil.copy2(path, f"{path}.x"), os.replace(f"{path}.x", path)), ["config.json"]),
        ("the store's place", lambda path: None, []),
    ):
        digests._hashed.clear()  # as another process
        count.clear()
        change(written.folder / "model/config.json")
        settle()
        store.check(written.folder)
        assert count == read, name


def test_mtime_that_a_tool_put_back_is_seen_by_the_index(written, tmp_path):
    store = Store(tmp_path / "store")
    settle()
    store.check(written.folder)
    flip(written.folder / "model/model.safetensors")
    with pytest.raises(StoreError, match=r"model\.safetensors: damaged"):
        store.check(written.folder)


def test_what_the_file_system_does_not_tell_is_found_when_the_content_is_read(written, tmp_path, monkeypatch):
    store, path = Store(tmp_path / "store"), written.folder / "model/model.safetensors"
    settle()
    store.check(written.folder)
    flip(path)
    status = path.stat()
    with sqlite3.connect(store.root / INDEX_FILE) as index:  # as if it had rotted on the disk: no time says so
        index.execute("UPDATE files SET ctime_ns = ? WHERE path LIKE '%safetensors'", (status.st_ctime_ns,))
    index.close()
    store.check(written.folder)  # it cannot see that
    with pytest.raises(StoreError, match=r"model\.safetensors: damaged"):
        _ = open_artifact(written.folder).model


@pytest.mark.parametrize("content", [b"", b"no database", b"SQLite format 3\0" + b"\xff" * 4000])
def test_an_index_that_is_damaged_is_made_again(written, count, tmp_path, content):
    store = Store(tmp_path / "store")
    (store.root / INDEX_FILE).write_bytes(content)
    settle()
    store.check(written.folder)
    digests._hashed.clear()
    count.clear()
    store.check(written.folder)
    assert count == []


def test_an_index_that_says_another_digest_damages_nothing(written, tmp_path):
    store = Store(tmp_path / "store")
    settle()
    store.check(written.folder)
    with sqlite3.connect(store.root / INDEX_FILE) as index:
        index.execute("UPDATE files SET sha256 = 'x'")
    index.close()
    digests._hashed.clear()
    store.check(written.folder)


def test_a_file_that_was_just_written_is_not_remembered(tmp_path, count):
    (root := tmp_path / "store").mkdir()
    for text in ("one", "two"):  # within one tick, of one size
        (path := tmp_path / "x").write_text(text)
        os.utime(path, ns=(1, 1))
        assert kept_sha256(path, root) == hashed(path) == file_sha256(path)


def test_without_a_store_files_are_read_and_no_store_is_made(tmp_path):
    (path := tmp_path / "x").write_text("x")
    assert kept_sha256(path, tmp_path / "none") == file_sha256(path)
    assert not (tmp_path / "none").exists()
