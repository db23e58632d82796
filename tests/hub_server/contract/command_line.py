"""The `hf` command."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.hub_server.contract.world import World

_HF = str(Path(sys.executable).with_name("hf"))


def _hf(*arguments: str, code: int = 0) -> str:
    done = subprocess.run([_HF, *arguments], capture_output=True, text=True, timeout=120)
    assert done.returncode == code, f"exit code {done.returncode}: {done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def whoami(w: World) -> None:
    assert w.api.whoami()["name"] in _hf("auth", "whoami")


def a_repository_is_created(w: World) -> None:
    w.memo.repo = w.remember("cli", "dataset")
    _hf("repos", "create", w.memo.repo, "--repo-type", "dataset", "--private")
    assert w.api.repo_exists(w.memo.repo, repo_type="dataset")


def a_folder_is_uploaded(w: World) -> None:
    folder = w.folder / "cli"
    folder.mkdir()
    (folder / "a.txt").write_text("miel")
    (folder / "b.bin").write_bytes(bytes(1000))
    _hf("upload", w.memo.repo, str(folder), ".", "--repo-type", "dataset", "--commit-message", "by hand")
    assert set(w.api.list_repo_files(w.memo.repo, repo_type="dataset")) == {".gitattributes", "a.txt", "b.bin"}


def a_file_is_uploaded(w: World) -> None:
    _hf("upload", w.memo.repo, str(w.folder / "cli" / "a.txt"), "c/d.txt", "--repo-type", "dataset")
    assert w.api.file_exists(w.memo.repo, "c/d.txt", repo_type="dataset")


def a_tag_is_created_and_listed(w: World) -> None:
    _hf("repos", "tag", "create", w.memo.repo, "v1", "--repo-type", "dataset")
    assert "v1" in _hf("repos", "tag", "list", w.memo.repo, "--repo-type", "dataset")


def a_repository_is_downloaded(w: World) -> None:
    target = w.folder / "back"
    _hf("download", w.memo.repo, "--repo-type", "dataset", "--revision", "v1", "--local-dir", str(target))
    assert (target / "a.txt").read_text() == "miel"
    assert (target / "b.bin").read_bytes() == bytes(1000)


def datasets_are_listed(w: World) -> None:
    name = w.memo.repo.split("/")[1]
    assert name in _hf("datasets", "ls", "--author", w.namespace, "--search", name, "--format", "json")


def files_are_deleted(w: World) -> None:
    _hf("repos", "delete-files", w.memo.repo, "c/*", "--repo-type", "dataset")
    assert not w.api.file_exists(w.memo.repo, "c/d.txt", repo_type="dataset")


def a_missing_repository_is_an_error(w: World) -> None:
    assert "not found" in _hf("download", w.id("nowhere"), "a.txt", code=1).lower()


def a_repository_is_deleted(w: World) -> None:
    _hf("repos", "delete", w.memo.repo, "--repo-type", "dataset", "--yes")
    assert not w.api.repo_exists(w.memo.repo, repo_type="dataset")
