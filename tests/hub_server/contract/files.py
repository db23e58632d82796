"""Commits, trees, downloads."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from huggingface_hub import (
    CommitOperationAdd,
    CommitOperationCopy,
    CommitOperationDelete,
    ModelCard,
    get_hf_file_metadata,
    hf_hub_download,
    hf_hub_url,
    snapshot_download,
)
from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, RevisionNotFoundError
from huggingface_hub.hf_api import RepoFile, RepoFolder

from tests.hub_server.contract.world import World, raises

_TEXT = "Las abejas hacen miel. 蜜蜂は蜂蜜を作ります。\n".encode()
_LARGE = bytes(range(256)) * 4096  # 1 MiB, no text


def _commit(w: World, *operations, **more):
    return w.api.create_commit(w.memo.repo, operations, commit_message="a step", repo_type="dataset", **more)


def _add(path: str, content: bytes) -> CommitOperationAdd:
    return CommitOperationAdd(path_in_repo=path, path_or_fileobj=content)


def _names(w: World, revision: str | None = None) -> set[str]:
    return set(w.api.list_repo_files(w.memo.repo, repo_type="dataset", revision=revision)) - {".gitattributes"}


def _read(w: World, path: str, revision: str | None = None) -> bytes:
    return Path(hf_hub_download(w.memo.repo, path, repo_type="dataset", revision=revision)).read_bytes()


def a_small_and_a_large_file_in_one_commit(w: World) -> None:
    w.memo.repo = w.create("files", "dataset")
    w.memo.start = w.api.dataset_info(w.memo.repo).sha
    made = _commit(w, _add("notas/miel.txt", _TEXT), _add("data/large.bin", _LARGE))
    w.memo.first = made.oid
    assert made.oid in made.commit_url
    assert _names(w) == {"notas/miel.txt", "data/large.bin"}


def the_head_is_the_new_commit(w: World) -> None:
    assert w.api.dataset_info(w.memo.repo).sha == w.memo.first


def contents_come_back_as_they_went(w: World) -> None:
    assert _read(w, "notas/miel.txt") == _TEXT
    assert _read(w, "data/large.bin") == _LARGE


def an_earlier_commit_is_as_it_was(w: World) -> None:
    assert _names(w, w.memo.start) == set()


def an_empty_file(w: World) -> None:
    _commit(w, _add("empty.txt", b""))
    assert _read(w, "empty.txt") == b""


def a_path_with_spaces_and_other_scripts(w: World) -> None:
    path = "carpeta con espacios/蜂蜜 #1 50%+ñ.txt"
    _commit(w, _add(path, _TEXT))
    assert path in _names(w)
    assert _read(w, path) == _TEXT


def blob_ids_are_those_of_git(w: World) -> None:
    entry = w.api.get_paths_info(w.memo.repo, ["notas/miel.txt"], repo_type="dataset")[0]
    assert entry.blob_id == hashlib.sha1(b"blob %d\0" % len(_TEXT) + _TEXT).hexdigest()
    assert entry.lfs is None


def large_files_have_their_sha256(w: World) -> None:
    entry = w.api.get_paths_info(w.memo.repo, ["data/large.bin"], repo_type="dataset")[0]
    assert entry.lfs.sha256 == hashlib.sha256(_LARGE).hexdigest()
    assert entry.size == entry.lfs.size == len(_LARGE)


def a_commit_with_the_right_parent_lands(w: World) -> None:
    head = w.api.dataset_info(w.memo.repo).sha
    w.memo.child = _commit(w, _add("child.txt", b"1"), parent_commit=head).oid
    assert w.memo.child != head


def a_commit_with_a_stale_parent_is_refused(w: World) -> None:
    with raises(HfHubHTTPError, status=412):
        _commit(w, _add("late.txt", b"1"), parent_commit=w.memo.first)
    assert "late.txt" not in _names(w)


def the_same_content_again_makes_no_commit(w: World) -> None:
    head = w.api.dataset_info(w.memo.repo).sha
    assert _commit(w, _add("child.txt", b"1"), _add("data/large.bin", _LARGE)).oid == head


def a_file_is_deleted(w: World) -> None:
    _commit(w, CommitOperationDelete("child.txt"))
    assert "child.txt" not in _names(w)


def deleting_a_missing_file_raises(w: World) -> None:
    with raises(EntryNotFoundError):
        _commit(w, CommitOperationDelete("child.txt"))


def a_folder_is_deleted(w: World) -> None:
    _commit(w, _add("gone/a.txt", b"a"), _add("gone/deep/b.bin", _LARGE))
    _commit(w, CommitOperationDelete("gone/"))
    assert not any(name.startswith("gone") for name in _names(w))


def files_are_copied(w: World) -> None:
    _commit(
        w,
        CommitOperationCopy("data/large.bin", "copies/large.bin"),
        CommitOperationCopy("notas/miel.txt", "copies/miel.txt"),
    )
    assert _read(w, "copies/large.bin") == _LARGE
    assert _read(w, "copies/miel.txt") == _TEXT


def an_object_of_another_repository_is_not_sent_again(w: World) -> None:
    other = w.create("other", "dataset")
    w.api.upload_file(path_or_fileobj=_LARGE, path_in_repo="x.bin", repo_id=other, repo_type="dataset")
    assert w.api.get_paths_info(other, ["x.bin"], repo_type="dataset")[0].size == len(_LARGE)


def an_upload_from_a_file(w: World) -> None:
    path = w.folder / "rows.jsonl"
    path.write_bytes(_TEXT * 100)
    w.api.upload_file(path_or_fileobj=path, path_in_repo="rows.jsonl", repo_id=w.memo.repo, repo_type="dataset")
    assert _read(w, "rows.jsonl") == _TEXT * 100


def a_folder_is_uploaded(w: World) -> None:
    folder = w.folder / "up"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.txt").write_bytes(b"a")
    (folder / "sub" / "b.bin").write_bytes(_LARGE[:1000])
    (folder / "skip.log").write_bytes(b"no")
    w.api.upload_folder(
        folder_path=folder, path_in_repo="up", repo_id=w.memo.repo, repo_type="dataset", ignore_patterns="*.log"
    )
    assert {"up/a.txt", "up/sub/b.bin"} <= _names(w)
    assert "up/skip.log" not in _names(w)


def a_folder_replaces_what_was_there(w: World) -> None:
    folder = w.folder / "up"
    (folder / "a.txt").unlink()
    w.api.upload_folder(
        folder_path=folder, path_in_repo="up", repo_id=w.memo.repo, repo_type="dataset", delete_patterns="*"
    )
    assert {name for name in _names(w) if name.startswith("up/")} == {"up/sub/b.bin", "up/skip.log"}


def the_tree_of_one_folder(w: World) -> None:
    entries = list(w.api.list_repo_tree(w.memo.repo, "up", repo_type="dataset"))
    assert {(type(entry), entry.path) for entry in entries} == {(RepoFolder, "up/sub"), (RepoFile, "up/skip.log")}


def the_whole_tree_with_last_commits_takes_two_pages(w: World) -> None:
    _commit(w, *(_add(f"many/{i:03}.txt", str(i).encode()) for i in range(60)))
    tree = w.api.list_repo_tree(w.memo.repo, repo_type="dataset", recursive=True, expand=True)
    entries = {entry.path: entry for entry in tree}
    assert {f"many/{i:03}.txt" for i in range(60)} <= set(entries)
    assert entries["many/007.txt"].last_commit.title == "a step"
    assert entries["data/large.bin"].last_commit.oid == w.memo.first


def the_tree_of_a_missing_folder_raises(w: World) -> None:
    with raises(EntryNotFoundError):
        list(w.api.list_repo_tree(w.memo.repo, "nowhere", repo_type="dataset"))


def missing_paths_are_left_out(w: World) -> None:
    found = w.api.get_paths_info(w.memo.repo, ["nowhere", "up", "rows.jsonl"], repo_type="dataset", expand=True)
    assert {entry.path for entry in found} == {"up", "rows.jsonl"}


def siblings_have_sizes(w: World) -> None:
    info = w.api.dataset_info(w.memo.repo, files_metadata=True)
    sizes = {sibling.rfilename: (sibling.size, sibling.lfs and sibling.lfs.sha256) for sibling in info.siblings}
    assert sizes["notas/miel.txt"] == (len(_TEXT), None)
    assert sizes["data/large.bin"] == (len(_LARGE), hashlib.sha256(_LARGE).hexdigest())


def a_file_exists_or_not(w: World) -> None:
    assert w.api.file_exists(w.memo.repo, "rows.jsonl", repo_type="dataset")
    assert not w.api.file_exists(w.memo.repo, "nowhere", repo_type="dataset")


def a_missing_file_raises_its_own_error(w: World) -> None:
    with raises(EntryNotFoundError):
        hf_hub_download(w.memo.repo, "nowhere", repo_type="dataset")


def a_missing_revision_raises_its_own_error(w: World) -> None:
    with raises(RevisionNotFoundError):
        hf_hub_download(w.memo.repo, "rows.jsonl", repo_type="dataset", revision="v9")


def metadata_of_a_file(w: World) -> None:
    found = get_hf_file_metadata(hf_hub_url(w.memo.repo, "data/large.bin", repo_type="dataset"))
    assert found.etag == hashlib.sha256(_LARGE).hexdigest()
    assert found.size == len(_LARGE)
    assert found.commit_hash == w.api.dataset_info(w.memo.repo).sha


def a_download_into_a_folder(w: World) -> None:
    target = w.folder / "down"
    hf_hub_download(w.memo.repo, "notas/miel.txt", repo_type="dataset", local_dir=target)
    assert (target / "notas" / "miel.txt").read_bytes() == _TEXT


def a_snapshot_by_commit(w: World) -> None:
    folder = Path(snapshot_download(w.memo.repo, repo_type="dataset", revision=w.memo.first))
    assert folder.name == w.memo.first
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert found == {".gitattributes", "notas/miel.txt", "data/large.bin"}


def a_snapshot_of_some_files_by_tag(w: World) -> None:
    w.api.create_tag(w.memo.repo, tag="v1", repo_type="dataset")
    folder = snapshot_download(w.memo.repo, repo_type="dataset", revision="v1", allow_patterns="up/**")
    assert set(os.listdir(folder)) == {"up"}


def checksums_are_verified(w: World) -> None:
    result = w.api.verify_repo_checksums(w.memo.repo, repo_type="dataset", revision=w.memo.first)
    assert result.checked_count == 3
    assert not result.mismatches


def a_commit_may_be_a_pull_request(w: World) -> None:
    made = _commit(w, _add("proposed.txt", b"?"), create_pr=True)
    assert made.pr_num is not None
    assert "proposed.txt" not in _names(w)
    assert "proposed.txt" in _names(w, made.pr_revision)


def a_card_that_is_no_yaml_is_refused(w: World) -> None:
    with raises(ValueError):
        _commit(w, _add("README.md", b"---\nlicense: [unclosed\n---\n"))
    assert "README.md" not in _names(w)


def a_license_that_is_none_is_refused(w: World) -> None:
    with raises(ValueError):
        _commit(w, _add("README.md", b"---\nlicense: apache-two\n---\n"))


def a_card_is_pushed_and_loaded(w: World) -> None:
    ModelCard("---\nlicense: mit\n---\n# Card\n").push_to_hub(w.memo.repo, repo_type="dataset")
    assert ModelCard.load(w.memo.repo, repo_type="dataset").data.license == "mit"
