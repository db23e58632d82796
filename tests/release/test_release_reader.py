"""Releases that cannot be opened: what is said of a name, and of files that others wrote."""

from __future__ import annotations

import json
import re
import tracemalloc
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lidr.errors import HubError
from lidr.hub.client import Target
from lidr.hub.snapshot import Entry
from lidr.release import release_reader
from lidr.release.bounded_rows import read_bounded
from lidr.release.release_reader import MANIFEST, Found, OpenedRelease, find, open_release, without_weights
from tests.publishing import AT_ONCE
from tests.released import run_of

WHERE = "them/prefs@v0.1.0"


def test_rows_that_are_passed_leave_nothing_behind(tmp_path):
    peaks = []
    for count in (5_000, 5_000, 100_000):  # the first time for what is imported
        file = tmp_path / f"{count}.parquet"
        pq.write_table(pa.table({"id": [f"p{number}" for number in range(count)]}), file)
        tracemalloc.start()
        found = read_bounded([file], only=("id", "p7"))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert found.num_rows == 1
    assert peaks[2] - peaks[1] < 10_000  # 400 more batches of 256 rows


@pytest.fixture
def opened(tmp_path) -> OpenedRelease:
    return OpenedRelease(Found(Target("http://hub"), "dataset", "them/prefs", "v0.1.0", "1" * 40), tmp_path)


def write(opened: OpenedRelease, path: str, text: str) -> None:
    file = Path(opened.folder / path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")


NO_RELEASES = ["prefs", "a/b/c", "spaces/a/b", "a b/c", "", "./local", "./local@v0.2.0", "../local", "a--b/c", "a/-b"]


@pytest.mark.parametrize("text", NO_RELEASES)
def test_a_text_that_is_no_release_is_refused_with_the_forms(text):
    with pytest.raises(HubError, match=rf'^"{re.escape(text)}" is no release; allowed forms: '):
        find(text, Target("http://127.0.0.1:9"), patience=AT_ONCE)


def test_a_name_of_a_data_set_and_of_a_model_must_say_which(hub, new_name):
    name = new_name("both")
    for kind in ("dataset", "model"):
        hub.target.api().create_repo(name, repo_type=kind)
    said = f"{name}: there is a data set and a model of that name; write datasets/{name} or models/{name}"
    with pytest.raises(HubError, match=f"^{said}$"):
        find(name, hub.target, patience=AT_ONCE)
    assert find(f"models/{name}", hub.target, patience=AT_ONCE).repo_type == "model"


def test_where_no_tag_is_named_what_is_taken_and_the_newest_release_are_said(hub, new_name):
    api, name = hub.target.api(), new_name("tagged")
    api.create_repo(name, repo_type="dataset")

    def grown(path: str, *tags: str) -> str:
        at = {"repo_id": name, "repo_type": "dataset"}
        sha = api.upload_file(path_or_fileobj=b"x", path_in_repo=path, **at).oid
        for tag in tags:
            api.create_tag(name, tag=tag, revision=sha, repo_type="dataset")
        return sha

    def said(text: str) -> str:
        return find(text, hub.target, patience=AT_ONCE).said(AT_ONCE)

    opening = f"datasets/{name}: no tag is named, so the main branch is taken, at "
    sha = grown("a")
    assert said(name) == f"{opening}{sha}; no release is tagged there"
    sha = grown("b", "v0.10.0", "v0.10.0-iter_1")
    assert said(name) == f"{opening}{sha}, which is v0.10.0, the newest tag"
    newest = sha
    sha = grown("c", "v0.9.0", "mine")
    assert said(name) == f"{opening}{sha}, which is v0.9.0; the newest tag is v0.10.0: datasets/{name}@v0.10.0"
    sha = grown("d")
    assert said(name) == f"{opening}{sha}, which is no release; the newest tag is v0.10.0: datasets/{name}@v0.10.0"
    assert said(f"{name}@v0.10.0") == f"datasets/{name}@v0.10.0: dataset at {newest}"


def test_a_repository_without_a_run_is_no_release(opened):
    with pytest.raises(HubError, match=rf"{WHERE}.*no lidr/run\.json: not a release of lidr.*name its tag$"):
        _ = opened.run


@pytest.mark.parametrize("text", ["{", "[]", "null", "\\"])
def test_a_run_that_is_no_json_object_is_damaged(opened, text):
    write(opened, "lidr/run.json", text)
    with pytest.raises(HubError, match=rf"{WHERE}.*lidr/run\.json is no JSON object.*; the release is damaged$"):
        _ = opened.run


@pytest.mark.parametrize(("content", "found"), [({"schema": 2}, "2"), ({}, "None")])
def test_a_run_of_a_newer_lidr_asks_for_an_update(opened, content, found):
    write(opened, "lidr/run.json", json.dumps(content))
    with pytest.raises(HubError, match=rf"{WHERE}.*run\.json has schema {found}, this lidr reads 1: update lidr$"):
        _ = opened.run


@pytest.mark.parametrize("place", ["iter_1", "iter_1/../../x", "/etc/passwd", "iter_x/pair"])
def test_a_step_that_is_no_place_is_refused_before_a_file_is_read(opened, place):
    write(opened, "lidr/run.json", json.dumps(run_of(place)))
    said = re.escape(f"run.json names a step {place!r}; a place is iter_K/STEP")
    with pytest.raises(HubError, match=rf"{WHERE}.*{said}$"):
        _ = opened.records


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"files": None}, "NoneType"),
        ({"rate": {}}, "missing"),
        ({"colour": "red"}, "colour"),
        ({"files": [{}]}, "path"),
        ({"counts": []}, "counts: Input should be a valid dictionary"),
        ({"inputs": {"pairs": {"place": 1}}}, "inputs.pairs.place: Input should be a valid string"),
    ],
)
def test_a_record_with_other_fields_is_named_with_what_is_wrong(opened, world, change, found):
    record = next(record for record in world.records if record.place == "iter_1/pair")
    write(opened, "lidr/run.json", json.dumps(run_of("iter_1/pair")))
    write(opened, "lidr/records/iter_1/pair.json", json.dumps({**asdict(record), **change}))
    said = rf"lidr/records/iter_1/pair\.json is no record \(.*{found}.*\); the release is damaged$"
    with pytest.raises(HubError, match=rf"{WHERE}.*{said}"):
        _ = opened.records


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({"steps": None}, "steps: Input should be a valid list"),
        ({"steps": [3]}, "steps.0: Input should be a valid dictionary"),
        ({"steps": [{"place": "iter_1/pair"}]}, "steps.0.writes: Field required"),
        ({"parents": [{"name": "x"}]}, "parents.0.role: Field required"),
        ({"license": "mit"}, "license: Input should be a valid dictionary"),
        ({"rows": {"iter_1/pair": {"data": "x"}}}, "rows.iter_1/pair.data: Input should be a valid dictionary"),
        ({"release": {"datasets": [{"repo": "a/b"}]}}, "release.datasets.0.sha: Field required"),
        ({"files": [{"path": "x"}]}, "files.0.setting: Field required"),
        ({"outcome": {"iterations": 1}}, "outcome.result: Field required"),
        ({"written": {"chain": "pair"}}, "written.chain: Input should be a valid list"),
    ],
)
def test_a_run_of_another_form_is_named_with_the_place_in_the_file(opened, changes, wrong):
    write(opened, "lidr/run.json", json.dumps(run_of(**changes)))
    with pytest.raises(HubError, match=rf"{WHERE}: lidr/run\.json: {re.escape(wrong)}.*; the release is damaged$"):
        _ = opened.run


@pytest.mark.parametrize(
    ("path", "content", "wrong"),
    [
        ("lidr/manifest.json", {}, "files: Field required"),
        ("lidr/manifest.json", {"files": 3}, "files: Input should be a valid list"),
        ("lidr/manifest.json", {"files": [{}]}, "files.0.path: Field required"),
        ("lidr/content.json", {"weights": ["x"]}, "weights: Input should be a valid dictionary"),
        ("lidr/environment.json", {"versions": []}, "versions: Input should be a valid dictionary"),
    ],
)
def test_the_other_files_of_a_release_are_named_alike(opened, path, content, wrong):
    write(opened, path, json.dumps(content))
    with pytest.raises(HubError, match=rf"{WHERE}: {path}: {re.escape(wrong)}.*; the release is damaged$"):
        getattr(opened, Path(path).stem)


def test_what_stands_beside_what_is_read_is_no_fault(opened):
    write(opened, "lidr/run.json", json.dumps(run_of(of_a_later_lidr=[1])))
    assert opened.run["of_a_later_lidr"] == [1]
    assert opened.records == {}


def test_weights_that_the_hub_names_by_their_content_stay_there(monkeypatch, opened):
    entries = [
        Entry("README.md", 1, None, "0"), Entry("model.safetensors", 9, "f" * 64, "0"),
        Entry("odd.bin", 1, None, "0"), Entry("lidr/run.json", 1, None, "0"),
    ]  # fmt: skip
    monkeypatch.setattr(Found, "entries", entries)
    assert [one.path for one in without_weights(opened.found)] == ["README.md", "odd.bin", "lidr/run.json"]


def test_a_release_that_is_far_larger_than_its_manifest_says_is_not_downloaded(monkeypatch, opened, tmp_path):
    write(opened, "lidr/run.json", json.dumps(run_of()))
    write(opened, MANIFEST, json.dumps({"files": [{"path": "all/a.parquet", "bytes": 10**9, "sha256": "0" * 64}]}))
    asked: list[list[str]] = []

    def snapshot(repo, sha, *, patterns, **_):
        asked.append(patterns)
        return opened.folder

    monkeypatch.setattr(release_reader, "read_snapshot", snapshot)
    sizes = {MANIFEST: 200, "all/a.parquet": 10**9, "all/bomb.parquet": 10**12}
    monkeypatch.setattr(Found, "entries", [Entry(path, size, None, "0") for path, size in sizes.items()])
    with pytest.raises(HubError, match=r"its files have 1\.0 TB \(the largest: all/bomb\.parquet\).* says 1\.0 GB"):
        open_release(opened.found, tmp_path)
    assert asked == [[MANIFEST]]
    monkeypatch.setattr(Found, "entries", [Entry(path, sizes[path], None, "0") for path in [*sizes][:2]])
    open_release(opened.found, tmp_path)
    assert asked[2:] == [[MANIFEST, "all/a.parquet"]]
