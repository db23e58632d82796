"""The store as a folder: what is complete in it, in which order, and what an interrupted or full one keeps."""

from __future__ import annotations

import errno
import json
import os
import threading
from contextlib import suppress
from dataclasses import replace

import pyarrow as pa
import pytest

from lidr.errors import StoreError
from lidr.rows import Dropped, Prompt
from lidr.store.artifact import Artifact, ArtifactWriter, open_artifact, written_behind
from lidr.store.fingerprints import fingerprint, folder_sha256
from lidr.store.known_records import KnownRecords
from lidr.store.record import FileEntry, Rate, Record, content_digest, contradiction, read_record
from lidr.store.store import Store, discard, has_finished_rows, partial_folder, partial_identity, store_root
from tests.rewritten import rewritten

PROMPTS = pa.table({"prompt_id": ["p1", "p2"], "language": ["en", "en"], "text": ["One?", "Two?"]})
IDENTITY = {"step": "prompts", "inputs": {}}
EMPTY = Record(
    recipe="r", version="1.0.0", iteration=1, step="prompts", writes="prompts", fingerprint=fingerprint(IDENTITY),
    identity=IDENTITY,
    execution={}, inputs={}, files=(), digest="", counts={}, rate=Rate("prompts", 2, 1.0), finished="", versions={},
)  # fmt: skip
BEGUN = {"identity": IDENTITY, "inputs": {}}


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(tmp_path / "runs")


def written(store: Store, recipe: str = "r", version: str = "1.0.0", step: str = "prompts") -> Artifact:
    """An artifact of two rows and one dropped row."""
    folder = store.folder(recipe, version, f"iter_1/{step}")
    with store.writing(folder, Prompt, BEGUN) as writer:
        writer.data.write(PROMPTS)
        writer.start_tables()
        (writer.folder / "work").mkdir()
        for own in ("work/j.jsonl", "progress.json", ".hidden"):
            (writer.folder / own).write_text("{}")
        files, digest = writer.finish()
    return store.commit(folder, replace(EMPTY, recipe=recipe, version=version, step=step, files=files, digest=digest))


def test_a_committed_step_holds_its_rows_and_nothing_of_the_work(store):
    made = written(store)
    assert made.folder == store.root / "r" / "1.0.0" / "iter_1" / "prompts"
    assert [(entry.path, entry.rows) for entry in made.record.files] == [
        ("data/00000.parquet", 2),
        ("dropped/00000.parquet", 0),
    ]
    assert sorted(p.name for p in made.folder.iterdir()) == [".hidden", "data", "dropped", "record.json"]
    assert not partial_folder(made.folder).exists()
    assert made.read().to_pylist() == PROMPTS.to_pylist()
    assert made.read("dropped").num_rows == 0
    assert (made.rows, made.model) == (2, made.folder / "model")
    assert made.name == f"iter_1/prompts@{EMPTY.fingerprint[:12]}"
    assert read_record(made.folder) == made.record


def test_the_digest_is_of_the_rows_alone(store):
    one = written(store)
    two = written(store, "s")
    assert one.record.digest == two.record.digest
    folder = store.folder("t", "1", "iter_1/prompts")
    with store.writing(folder, Prompt, BEGUN) as writer:
        writer.data.write(PROMPTS)
        (writer.folder / "note").write_text("beside the rows")
        files, digest = writer.finish()
    assert digest == one.record.digest
    assert type(files) is tuple  # as all of a record, it cannot be changed
    assert [(entry.path, entry.rows) for entry in files] == [("data/00000.parquet", 2), ("note", None)]


def test_a_step_that_is_made_again_replaces_its_old_folder(store):
    (written(store).folder / "left over").write_text("")
    assert not (written(store).folder / "left over").exists()


def test_an_interrupted_try_keeps_its_journal_and_loses_its_tables(store):
    folder = store.folder("r", "1.0.0", "iter_1/prompts")
    with suppress(KeyboardInterrupt), store.writing(folder, Prompt, BEGUN) as writer:
        writer.data.write(PROMPTS)
        writer.dropped.close()
        (writer.folder / "work").mkdir()
        (writer.folder / "work" / "j.jsonl").write_text("rows")
        raise KeyboardInterrupt
    assert partial_identity(folder) == BEGUN
    with store.writing(folder, Prompt, {**BEGUN, "inputs": {"a": "b"}}) as writer:
        assert sorted(p.name for p in writer.folder.iterdir()) == ["identity.json", "work"]
        assert (writer.folder / "work" / "j.jsonl").read_text() == "rows"
    assert partial_identity(folder) == {**BEGUN, "inputs": {"a": "b"}}


def test_a_try_that_finished_nothing_and_does_not_say_what_it_was_is_none(store):
    folder = store.folder("r", "1.0.0", "iter_1/prompts")
    assert partial_identity(folder) is None
    for name in ("work/notes.txt", "work/engine/log.txt", "work/model/config.json", "work/translator/x", "rows.jsonl"):
        (path := partial_folder(folder) / name).parent.mkdir(parents=True, exist_ok=True)
        path.write_text("made anew each time")
    (partial_folder(folder) / "work/empty.jsonl").touch()
    assert not has_finished_rows(folder)
    assert partial_identity(folder) is None


@pytest.mark.parametrize("name", ["work/part.jsonl", "work/checkpoint-1/state.json", "work/answers/en/deep/a.jsonl"])
def test_finished_rows_of_which_nothing_says_what_they_are_end_the_run(store, name):
    folder = store.folder("r", "1.0.0", "iter_1/prompts")
    (path := partial_folder(folder) / name).parent.mkdir(parents=True)
    path.write_text("rows")
    assert has_finished_rows(folder)
    said = r"prompts\.partial/identity\.json: missing, so nothing says .* again with --rebuild iter_1/prompts$"
    with pytest.raises(StoreError, match=said):
        partial_identity(folder)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("{", "no JSON object"),
        ("[]", "no JSON object"),
        ("3", "no JSON object"),
        ('{"identity": {}}', "no identity and inputs"),
        ('{"inputs": {}}', "no identity and inputs"),
        ('{"identity": [], "inputs": {}}', "no identity and inputs"),
        ('{"identity": {}, "inputs": []}', "no identity and inputs"),
    ],
)
def test_a_try_whose_beginning_cannot_be_read_ends_the_run(store, text, found):
    folder = store.folder("r", "1.0.0", "iter_1/prompts")
    partial_folder(folder).mkdir(parents=True)
    (partial_folder(folder) / "identity.json").write_text(text)
    with pytest.raises(StoreError, match=rf"damaged \({found}\)\. .* again with --rebuild iter_1/prompts$"):
        partial_identity(folder)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_is_said_and_what_was_finished_is_kept(store, number):
    folder = store.folder("r", "1.0.0", "iter_1/prompts")
    with (
        pytest.raises(StoreError, match=r"no space left while writing /disk/x: finished rows are kept\. Free some"),
        store.writing(folder, Prompt, BEGUN),
    ):
        raise OSError(number, os.strerror(number), "/disk/x")
    with (
        pytest.raises(StoreError, match=rf"no space left while writing {partial_folder(folder)}: "),
        store.writing(folder, Prompt, BEGUN),
    ):
        raise OSError(number, os.strerror(number))
    assert partial_identity(folder) == BEGUN


def test_a_full_disk_that_was_told_already_keeps_its_place(store):
    inner, outer = (store.folder("r", "1.0.0", place) for place in ("iter_1/prompts", "iter_1/generate"))
    with (
        pytest.raises(StoreError, match=r"^no space left while writing /disk/x: finished rows are kept\. Free some"),
        store.writing(outer, Prompt, BEGUN),
        store.writing(inner, Prompt, BEGUN),
    ):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/disk/x")


def test_another_fault_of_the_disk_stays_what_it_is(store):
    folder = store.folder("r", "1.0.0", "iter_1/prompts")
    with pytest.raises(PermissionError), store.writing(folder, Prompt, BEGUN):
        raise PermissionError(errno.EACCES, "no", "x")


def test_a_commit_that_was_interrupted_before_its_rename_is_finished(store):
    made = written(store)
    made.folder.rename(partial_folder(made.folder))
    (partial_folder(made.folder) / "progress.json").write_text("{}")
    unfinished = partial_folder(store.folder("r", "1.0.0", "iter_2/prompts"))
    unfinished.mkdir(parents=True)
    store.settle()
    assert open_artifact(made.folder).rows == 2
    assert not (made.folder / "progress.json").exists()
    assert unfinished.exists()  # no record: nothing to finish


def test_records_are_of_complete_artifacts_by_name(store):
    for recipe in ("b", "a"):
        for step in ("prompts", "filter"):
            written(store, recipe, step=step)
    written(store, "b", step="pair").folder.rename(store.folder("b", "1.0.0", "iter_1/pair.partial"))
    (store.folder("b", "1.0.0", "iter_1/filter") / "record.json").write_text("{")
    assert [(record.recipe, record.step) for _, record in KnownRecords(store.root, "r").of({EMPTY.fingerprint})] == [
        ("a", "filter"),
        ("a", "prompts"),
        ("b", "prompts"),
    ]


def test_versions_are_in_the_order_of_their_numbers(store):
    oldest_first = ["0.9.0", "0.10.0", "1.0.0-2", "1.0.0-rc", "1.0.0-rc.2", "1.0.0-rc.10", "1.0.0", "1.0.1-a"]
    for version in sorted(oldest_first, key=hash):
        store.version_folder("r", version).mkdir(parents=True)
    (store.root / "r" / "notes.txt").write_text("no version")
    assert store.versions("r") == oldest_first
    assert store.versions("nobody") == []


def test_an_artifact_is_taken_over_without_copying_where_links_are_possible(store, monkeypatch):
    source = written(store)
    record = replace(EMPTY, version="2.0.0", files=source.record.files, digest=source.record.digest)
    target = store.folder("r", "2.0.0", "iter_1/prompts")
    stale = partial_folder(target)
    stale.mkdir(parents=True)
    (stale / "stale").write_text("of an earlier try")
    taken = store.adopt(source, target, record)
    assert taken.record.reused_from == "r/1.0.0/iter_1/prompts"
    assert taken.tables[0].samefile(source.tables[0])
    assert not (target / "stale").exists()

    def no_links(*paths: object) -> None:
        raise OSError(errno.EXDEV, "another disk")

    monkeypatch.setattr("os.link", no_links)
    copied = store.adopt(source, store.folder("r", "3.0.0", "iter_1/prompts"), replace(record, version="3.0.0"))
    assert not copied.tables[0].samefile(source.tables[0])
    assert copied.read().to_pylist() == PROMPTS.to_pylist()


def test_all_files_of_a_folder_are_taken_over(store):
    folder = store.folder("r", "1.0.0", "iter_1/prompts")
    with store.writing(folder, Prompt, BEGUN) as writer:
        (writer.folder / "model").mkdir()
        for name in ("config.json", "model.safetensors"):
            (writer.folder / "model" / name).write_text(name)
        files, digest = writer.finish()
    record = replace(EMPTY, files=files, digest=digest)
    taken = store.adopt(store.commit(folder, record), store.folder("r", "2.0.0", "iter_1/prompts"), record)
    assert [path.read_text() for path in sorted(taken.model.iterdir())] == ["config.json", "model.safetensors"]


def test_discarded_is_gone_with_its_unfinished_try(store):
    folder = written(store).folder
    partial_folder(folder).mkdir()
    discard(folder)
    assert list(folder.parent.iterdir()) == []
    discard(folder)  # nothing there: no error


def test_who_waits_is_told_once_who_holds_the_store(store):
    told, order = [], []
    held, let_go = threading.Event(), threading.Event()

    def hold() -> None:
        with Store(store.root).lock("run bees@0.1.0", told.append):
            held.set()
            let_go.wait(10)
            order.append("first")

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(10)
    threading.Timer(0.2, let_go.set).start()
    with store.lock("run ants@0.1.0", told.append):
        order.append("second")
    thread.join()
    [said] = told
    assert said.startswith(f"{store.root}: lidr run bees@0.1.0 (process {os.getpid()}, since 20")
    assert "waiting for it to finish" in said
    assert "--store FOLDER or LIDR_STORE" in said
    assert order == ["first", "second"]


@pytest.mark.parametrize(
    ("text", "who"),
    [
        (None, "another process"),
        ("{", "another process"),
        ("[]", "another process"),
        ("{}", "another process"),
        ('{"pid": 7}', "process 7"),
    ],
)
def test_a_holder_that_cannot_be_read_is_another_process(store, text, who):
    told, held, let_go = [], threading.Event(), threading.Event()

    def hold() -> None:
        with Store(store.root).lock("rm", told.append):
            holder = store.root / ".holder.json"
            holder.unlink() if text is None else holder.write_text(text)
            held.set()
            let_go.wait(10)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(10)
    threading.Timer(0.1, let_go.set).start()
    with store.lock("rm", told.append):
        thread.join()
    assert told[0].startswith(f"{store.root}: {who} is writing to this store")


def test_the_environment_says_where_the_store_is_before_the_recipe(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert store_root("~/runs") == tmp_path / "runs"
    monkeypatch.setenv("LIDR_STORE", "")
    assert str(store_root("runs")) == "runs"
    monkeypatch.setenv("LIDR_STORE", "~/elsewhere")
    assert store_root("runs") == tmp_path / "elsewhere"
    (tmp_path / "elsewhere").mkdir()
    assert store_root("runs") == tmp_path / "elsewhere"
    (tmp_path / "file").touch()
    monkeypatch.setenv("LIDR_STORE", "~/file")
    with pytest.raises(StoreError, match=r"names .*file, which is a file; name a folder"):
        store_root("runs")


def test_a_bucket_is_no_store_and_no_folder_is_made_of_its_address(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StoreError, match=r"^runtime\.store names gs://mine/runs, an address: a store is a folder"):
        store_root("gs://mine/runs")
    monkeypatch.setenv("LIDR_STORE", "s3://mine/runs")
    with pytest.raises(StoreError, match=r"^LIDR_STORE \(or --store\) names s3://mine/runs, an address"):
        store_root("runs")
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setenv("LIDR_STORE", str(tmp_path / "a:b"))
    assert store_root("runs") == tmp_path / "a:b"


def test_a_store_is_called_runs_where_nothing_says_another_name(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert str(store_root()) == "runs"


def test_a_folder_without_an_iteration_is_no_run(store):
    assert store.runs() == []
    written(store, "b")
    written(store, "a")
    store.version_folder("empty", "0.1.0").mkdir(parents=True)
    (store.root / "nothing").mkdir()
    assert store.runs() == ["a", "b"]


@pytest.mark.parametrize(
    ("spoil", "found"), [(lambda p: p.unlink(), "missing"), (lambda p: p.write_bytes(b"x" * 2000), "2,000 bytes")]
)
def test_a_file_that_is_not_whole_is_named_with_the_step_to_make_again(store, spoil, found):
    made = written(store)
    size = made.tables[0].stat().st_size
    spoil(made.tables[0])
    said = rf"00000\.parquet: {found}, its record says {size:,} bytes\. .*: lidr run RECIPE --rebuild iter_1/prompts$"
    with pytest.raises(StoreError, match=said):
        open_artifact(made.folder)


def test_rows_go_to_numbered_files_none_longer_than_a_shard(tmp_path, monkeypatch):
    monkeypatch.setattr("lidr.store.artifact.SHARD_ROWS", 4)
    made = ArtifactWriter(tmp_path, Prompt)
    writer = made.data
    wide = PROMPTS.append_column("more", pa.array([1, 2]))
    for table in (wide, PROMPTS, PROMPTS.slice(0, 1), PROMPTS):
        writer.write(table.select(sorted(table.column_names)))
    writer.close()
    writer.close()
    assert [path.name for path in writer.paths] == ["00000.parquet", "00001.parquet"]
    assert writer.rows == 7
    files, _ = made.finish()
    assert [(entry.path, entry.rows) for entry in files] == [("data/00000.parquet", 4), ("data/00001.parquet", 3)]
    artifact = Artifact(tmp_path, replace(EMPTY, files=files))
    assert [batch.num_rows for batch in artifact.batches(3)] == [3, 1, 3]
    assert [batch.to_pydict() for batch in artifact.batches(9, ["prompt_id"])] == [
        {"prompt_id": ["p1", "p2", "p1", "p2"]},
        {"prompt_id": ["p1", "p1", "p2"]},
    ]
    assert artifact.read().column_names == PROMPTS.column_names


def test_a_table_without_rows_still_has_a_file_with_its_schema(tmp_path):
    made = ArtifactWriter(tmp_path, Prompt)
    made.dropped.close()
    table = Artifact(tmp_path, replace(EMPTY, files=made.finish()[0])).read("dropped")
    assert (table.num_rows, table.schema.names) == (0, Dropped.schema.names)


class Slow:
    """Takes batches; fails at the one that it is told to."""

    def __init__(self, fails_at: int | None = None) -> None:
        self.taken: list[int] = []
        self._fails_at = fails_at

    def write(self, batch: int) -> None:
        if batch == self._fails_at:
            raise OSError(errno.ENOSPC, "full")
        self.taken.append(batch)


def test_batches_are_written_behind_in_their_order():
    table = Slow()
    with written_behind(table) as write:
        for batch in range(5):
            write(batch)
            assert len(table.taken) >= batch  # the one before is written by now
    assert table.taken == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(("fails_at", "taken"), [(1, [0]), (3, [0, 1, 2])])
def test_a_failed_write_is_raised_by_the_next_one_or_at_the_end(fails_at, taken):
    table = Slow(fails_at)

    def write_all() -> None:
        with written_behind(table) as write:
            for batch in range(4):
                write(batch)

    with pytest.raises(OSError, match="full"):
        write_all()
    assert table.taken == taken


def test_files_that_hold_no_rows_count_none(tmp_path):
    files = (
        FileEntry("data/00000.parquet", 9, "", 2),
        FileEntry("data/index", 9, ""),
        FileEntry("dropped/0", 9, "", 5),
    )
    artifact = Artifact(tmp_path, replace(EMPTY, files=files))
    assert (artifact.rows, artifact.has_tables) == (2, True)
    assert not Artifact(tmp_path, replace(EMPTY, files=files[1:])).has_tables
    assert not Artifact(tmp_path, EMPTY).has_tables


def test_a_record_that_was_read_and_is_sound_is_not_read_again(store, monkeypatch):
    made = written(store)
    monkeypatch.setattr("lidr.store.artifact.read_record", lambda folder: pytest.fail("read again"))
    assert store.check(made.folder, made.record) == made


def test_a_record_that_was_read_unchecked_is_checked_before_its_files(store):
    made = written(store)
    rewritten(made.folder / "record.json", digest="0" * 64)
    ((folder, record),) = KnownRecords(store.root, "r").of({EMPTY.fingerprint})
    with pytest.raises(StoreError, match="its digest is not that of the files"):
        store.check(folder, record)


def test_inputs_that_are_not_those_of_the_settings_damage_a_record(store):
    identity = {"step": "prompts", "inputs": {"responses": "1" * 64}}
    sound = replace(EMPTY, identity=identity, fingerprint=fingerprint(identity))
    for found, said in (("1", None), ("2", "its inputs are not those of its settings: one of both was altered")):
        inputs = {"responses": {"place": "x", "fingerprint": found * 64, "digest": ""}}
        assert contradiction(replace(sound, inputs=inputs)) == said


@pytest.mark.parametrize("path", ["", "/", "/etc/x", "..", "../x", "results/../../x"])
def test_a_path_that_leads_out_of_its_folder_damages_a_record(path):
    said = f"it names a file outside its folder, {path}"
    assert contradiction(replace(EMPTY, files=(FileEntry(path, 1, "0"),), digest=folder_sha256({}))) == said


@pytest.mark.parametrize("path", ["x", "..x", "model.d/x..y"])
def test_dots_in_a_name_are_no_way_out(path):
    assert contradiction(replace(EMPTY, files=(FileEntry(path, 1, "0"),), digest=folder_sha256({}))) is None


def test_a_record_says_what_it_is(store):
    raw = json.loads((written(store).folder / "record.json").read_text())
    assert (raw["schema"], raw["reused_from"], raw["rate"]["unit"]) == (1, None, "prompts")


def test_the_digest_of_an_adapter_is_of_it_and_its_model_and_the_one_that_lidr_wrote_once_is_taken():
    files = tuple(FileEntry(path, 1, path) for path in ("adapter/a", "base/b", "release.json"))
    of_both = folder_sha256({"adapter/a": "adapter/a", "base/b": "base/b"})
    assert content_digest(files) == of_both
    assert content_digest(files[2:]) == folder_sha256({"release.json": "release.json"})
    assert content_digest((*files, FileEntry("model/m", 1, "m"))) == folder_sha256({"model/m": "m"})
    for digest, is_sound in ((of_both, True), (folder_sha256({}), True), (folder_sha256({"base/b": "base/b"}), False)):
        assert (contradiction(replace(EMPTY, files=files, digest=digest)) is None) == is_sound
