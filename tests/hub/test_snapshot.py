"""Reading by commit into a snapshot that is compared, against the embedded Hub: answering, moved, and switched off."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest

from lidr.errors import HubError
from lidr.hub.client import Target, plain_uploads
from lidr.hub.content_ids import git_blob_id
from lidr.hub.pin_changes import moved
from lidr.hub.pins import resolve
from lidr.hub.snapshot import Entry, content_digest, listed, listing, read_file, read_snapshot
from lidr.hub_server import serve_in_background
from lidr.store.fingerprints import file_sha256
from lidr.store.recipe_lock import Content
from tests.publishing import TOKEN


def commit(target: Target, repo: str, files: dict[str, bytes], tag: str) -> str:
    """Commit files to a data set, and tag them."""
    from huggingface_hub import CommitOperationAdd

    api = target.api()
    api.create_repo(repo, repo_type="dataset", exist_ok=True)
    with plain_uploads(target):
        done = api.create_commit(
            repo,
            [CommitOperationAdd(path, content) for path, content in files.items()],
            commit_message=tag,
            repo_type="dataset",
        )
    api.create_tag(repo, tag=tag, revision=done.oid, repo_type="dataset")
    return str(done.oid)


def table(folder: Path, rows: int) -> bytes:
    pl.DataFrame({"text": ["bees"] * rows}).write_parquet(folder / "rows.parquet")
    return (folder / "rows.parquet").read_bytes()


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def data(hub, new_name, tmp_path, cache) -> tuple[str, str]:
    """A data set of two files, and its commit."""
    repo = new_name("data")
    sha = commit(
        hub.target,
        repo,
        {"a/rows.parquet": table(tmp_path, 3), "b.txt": b"wax", "README.md": b"---\nlicense: cc0-1.0\n---\n"},
        "v1",
    )
    return f"datasets/{repo}", sha


def test_a_snapshot_holds_what_the_commit_holds(data, hub, tmp_path):
    folder = read_snapshot(*data, target=hub.target, into=tmp_path / "here")
    assert pl.read_parquet(folder / "a/rows.parquet").height == 3
    assert read_file(*data, "b.txt", target=hub.target).read_text() == "wax"


def test_the_digest_is_the_same_in_another_repository_and_without_the_card(data, hub, new_name, tmp_path):
    repo = new_name("mirror")
    sha = commit(hub.target, repo, {"a/rows.parquet": table(tmp_path, 3), "b.txt": b"wax"}, "v9")
    ours, theirs = (content_digest(listing(*one, target=hub.target)) for one in (data, (f"datasets/{repo}", sha)))
    assert (sha, ours) == (sha, theirs)
    assert sha != data[1]


def test_another_content_than_was_locked_is_refused(data, hub):
    digest = content_digest(listing(*data, target=hub.target))
    assert read_snapshot(*data, target=hub.target, digest=digest).is_dir()
    with pytest.raises(HubError, match=r"recipe\.lock\.json holds the content 000000000000 for this commit"):
        read_snapshot(*data, target=hub.target, digest="0" * 64)


def test_an_altered_file_is_named_with_where_it_lies(data, hub):
    folder = read_snapshot(*data, target=hub.target)
    blob = (folder / "b.txt").resolve()
    blob.chmod(0o644)
    blob.write_bytes(b"war")
    with pytest.raises(
        HubError, match=r"b\.txt is altered on this machine: .*Remove .* and run the same command again"
    ):
        read_snapshot(*data, target=hub.target)


def test_a_file_that_the_commit_lacks_and_a_branch_are_refused(data, hub):
    with pytest.raises(HubError, match=r"has no file c\.txt; check the name, or pin another commit"):
        read_file(*data, "c.txt", target=hub.target)
    with pytest.raises(HubError, match="only a commit \\(40 hex digits\\) is read"):
        read_snapshot(data[0], "main", target=hub.target)
    with pytest.raises(HubError, match=f"the Hub has {data[0]}, and no revision {'1' * 40} in it"):
        read_snapshot(data[0], "1" * 40, target=hub.target)


def test_files_are_named_by_git_or_by_sha256(tmp_path):
    (tmp_path / "f").write_bytes(b"wax\n")
    git = Entry("f", 4, None, "b5a4c6e0a6ba6ed6a19d10e7d4bd7d9ec5e8a1d0")
    assert not git.is_at(tmp_path / "f")
    right = Entry("f", 4, None, git_blob_id(tmp_path / "f"))
    assert right.is_at(tmp_path / "f")
    assert right.content_id == f"git:{right.blob_id}"
    assert Entry("f", 4, file_sha256(tmp_path / "f"), "").is_at(tmp_path / "f")
    assert not Entry("f", 5, file_sha256(tmp_path / "f"), "").is_at(tmp_path / "f")


def test_a_moved_and_a_deleted_tag_are_said(data, hub, tmp_path):
    repo, sha = data
    name = repo.removeprefix("datasets/")
    locked = {f"{repo}@{sha}": Content("v1", "0" * 64, 2), f"{repo}@{'2' * 40}": Content(None, "0" * 64, 2)}
    assert moved(locked, target=hub.target) == []
    new = commit(hub.target, name, {"b.txt": b"honey"}, "v2")
    api = hub.target.api()
    api.delete_tag(name, tag="v1", repo_type="dataset")
    assert moved(locked, target=hub.target) == [f"{repo}: v1 is gone; it was {sha} when it was locked"]
    api.create_tag(name, tag="v1", revision=new, repo_type="dataset")
    (line,) = moved(locked, target=hub.target)
    assert line == f"{repo}: v1 was {sha} when it was locked and is {new} now: it was moved"
    assert resolve(repo, "v1", target=hub.target) == new


FIRST = """
import dataclasses
import json
from datasets import load_dataset
from lidr.hub.snapshot import read_snapshot
found = load_dataset("{repo}", split="train", revision="{old}")
read_snapshot("datasets/{repo}", "{old}", patterns=["b.txt"])
print(json.dumps(found.num_rows))
"""

AWAY = """
import json, time
time.sleep = lambda seconds: None  # the client tries for a minute
from datasets import load_dataset
from lidr.errors import HubError
from lidr.hub.snapshot import read_snapshot

def said(*arguments, **options):
    try:
        return str(read_snapshot(*arguments, **options))
    except HubError as error:
        return str(error)

theirs = load_dataset("{repo}", split="train", revision="{new}").num_rows
print(json.dumps([theirs, said("datasets/{repo}", "{new}"), said("datasets/{repo}", "{old}", patterns=["b.txt"]),
                  said("datasets/{repo}", "{old}")]))
"""


def test_with_the_hub_away_load_dataset_gives_another_revision_and_says_nothing_and_a_snapshot_refuses(tmp_path):
    """Asked for the second commit, it gives the rows of the first; what lidr reads is the commit or an error."""
    repo = "lidr/away"
    with serve_in_background(tmp_path / "hub", token=TOKEN) as hub:
        target = Target(hub.url, hub.token)
        old = commit(target, repo, {"train.parquet": table(tmp_path, 3), "b.txt": b"wax", "c.txt": b"w"}, "v1")
        new = commit(target, repo, {"train.parquet": table(tmp_path, 5)}, "v2")
        surroundings = {**os.environ, **hub.environment, "HF_HOME": str(tmp_path / "home"), "PYTHONPATH": os.getcwd()}
        assert json.loads(_fresh(FIRST.format(repo=repo, old=old), surroundings)) == 3
    theirs, other, same, partial = json.loads(_fresh(AWAY.format(repo=repo, old=old, new=new), surroundings))
    assert theirs == 3, "datasets mended it: asked for the second revision, whose rows are 5"
    assert "the Hub did not give it" in other
    assert Path(same, "b.txt").read_text() == "wax"
    assert "c.txt is missing in" in partial
    assert "only a part of it was ever downloaded" in partial


def _fresh(code: str, surroundings: dict[str, str]) -> str:
    done = subprocess.run([sys.executable, "-c", code], env=surroundings, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.splitlines()[-1]


@pytest.mark.parametrize("address", ["http://127.0.0.1:9", "http://no-such-host.invalid"])
def test_a_hub_that_nobody_answers_for_is_named_within_some_seconds(address):
    began = time.monotonic()
    with pytest.raises(HubError) as refused:
        listed("org/away", "a" * 40, target=Target(address))
    assert time.monotonic() - began < 8
    assert f"the Hub did not give it (ConnectError): nothing answers at {address}. Check your network" in str(
        refused.value
    )
    assert "HF_ENDPOINT" in str(refused.value)
    assert "HF_HUB_OFFLINE=1" in str(refused.value)


def test_a_hub_that_is_not_asked_offline_is_said_at_once(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(HubError, match=r"org/away@a{40}: not on this machine, and HF_HUB_OFFLINE is set, so no Hub"):
        listed("org/away", "a" * 40, target=Target("http://127.0.0.1:9"))


def test_what_does_not_fit_on_the_disk_is_refused_before_a_byte_is_fetched(data, hub, tmp_path, monkeypatch):
    repo, sha = data
    monkeypatch.setattr("lidr.hub.snapshot.shutil.disk_usage", lambda folder: shutil._ntuple_diskusage(99, 99, 5))
    said = rf"^{repo}@{sha}: its \d files need [\d.,]+ \w+, and the disk of {tmp_path} has 5 bytes free\. Make "
    with pytest.raises(HubError, match=said):
        read_snapshot(repo, sha, target=hub.target, into=tmp_path / "into")
    assert not (tmp_path / "into").exists()
    monkeypatch.undo()
    folder = read_snapshot(repo, sha, target=hub.target, into=tmp_path / "into")
    monkeypatch.setattr("lidr.hub.snapshot.shutil.disk_usage", lambda folder: shutil._ntuple_diskusage(99, 99, 0))
    assert read_snapshot(repo, sha, target=hub.target, into=folder) == folder


def test_a_file_that_came_damaged_is_the_hubs_own_fault(data, hub, monkeypatch, tmp_path):
    """The listing that is kept names another content than the Hub gives, as where its object is damaged."""
    entries = listing(*data, target=hub.target)
    other = tuple(dataclasses.replace(e, blob_id="0" * 40) if e.path == "b.txt" else e for e in entries)
    monkeypatch.setattr("lidr.hub.snapshot.listing", lambda *_, **__: other)
    with pytest.raises(HubError, match=r"b\.txt is damaged on the Hub: what it gives is not the content that it lists"):
        read_snapshot(*data, target=hub.target)
    with pytest.raises(HubError, match=r"b\.txt is altered on this machine"):
        read_snapshot(*data, target=hub.target)
