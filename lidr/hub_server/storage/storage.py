"""All repositories and collections under one root. Changes happen one at a time; readers never wait."""

from __future__ import annotations

import hashlib
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from lidr.hub_server.refusal import Refusal, no_repository
from lidr.hub_server.storage import disk, git_ids, names
from lidr.hub_server.storage.history import File, Repository
from lidr.hub_server.storage.names import REPO_TYPES, RepoType
from lidr.hub_server.storage.objects import Objects

_LARGE = """
7z arrow bin bz2 ckpt ftz gguf gz h5 joblib jpg jpeg lz4 mlmodel model mp3 msgpack npy npz onnx ot parquet pb pickle
pkl png pt pth rar safetensors tar tflite tgz wasm wav webp xz zip zst
"""
GITATTRIBUTES = "".join(
    f"{pattern} filter=lfs diff=lfs merge=lfs -text\n"
    for pattern in [*(f"*.{suffix}" for suffix in _LARGE.split()), "*tfevents*", "saved_model/**/*"]
).encode()
"""In the first commit of each repository: it decides which files are large ones."""


class Storage:
    """The folder that `lidr hub serve --root` names.

    One process at a time writes to it (`serve` holds a lock for its whole life); inside the process `changing` lets
    one change happen after the other.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(parents=True, exist_ok=True)
        self.objects = Objects(root / "objects")
        self.changing = threading.RLock()
        for type_ in REPO_TYPES:
            (root / "repos" / f"{type_}s").mkdir(parents=True, exist_ok=True)

    def _at(self, type_: RepoType, repo_id: str) -> Repository:
        namespace, _, name = repo_id.partition("/")
        names.checked_repo_id(namespace, name)
        return Repository(self.root / "repos" / f"{type_}s" / f"{namespace}--{name}", type_, repo_id)

    def repository(self, type_: RepoType, repo_id: str) -> Repository:
        """A repository that is there; refused when it is not."""
        try:
            repository = self._at(type_, repo_id)
        except Refusal:
            raise no_repository(repo_id) from None
        if not (repository.folder / "refs.json").is_file():
            raise no_repository(repo_id)
        return repository

    def repositories(self, type_: RepoType) -> Iterator[Repository]:
        """All repositories of a type, by name."""
        for folder in sorted((self.root / "repos" / f"{type_}s").glob("*--*/refs.json")):
            yield Repository(folder.parent, type_, folder.parent.name.replace("--", "/", 1))

    def create(self, type_: RepoType, repo_id: str, *, private: bool, author: str) -> Repository:
        """A new repository with its first commit; it becomes visible whole.

        Raises:
            Refusal: 409 when it is there already, 400 for a name that is not allowed.
        """
        final = self._at(type_, repo_id)
        with self.changing:
            if (final.folder / "refs.json").is_file():
                raise Refusal(409, f"You already created this {type_} repo: {repo_id}")
            shutil.rmtree(final.folder, ignore_errors=True)  # a deletion that was cut short
            draft = Repository(disk.temporary_beside(final.folder), type_, repo_id)
            draft.folder.mkdir()
            first = draft.add_commit(
                {".gitattributes": self.file(GITATTRIBUTES)},
                parent=None,
                title="initial commit",
                message="",
                author=author,
            )
            now = time.time()
            draft.write_meta(private=private, created=now, modified=now, key=_key(type_, repo_id, now))
            draft.write_refs({"branches": {"main": first.sha}, "tags": {}, "pulls": {}})
            draft.folder.rename(final.folder)
            disk.sync_folder(final.folder.parent)
        return final

    def file(self, content: bytes) -> File:
        """Store a small file and describe it; its commit is still to be filled in."""
        sha256 = self.objects.put(content)
        return {"oid": git_ids.blob_id(content), "size": len(content), "sha256": sha256, "lfs": False, "commit": ""}

    def large_file(self, sha256: str, size: int) -> File:
        """Describe a large file whose content is stored already."""
        pointer = git_ids.blob_id(git_ids.lfs_pointer(sha256, size))
        return {"oid": pointer, "size": size, "sha256": sha256, "lfs": True, "commit": ""}

    def delete(self, repository: Repository) -> None:
        """Remove a repository; its contents stay until the collector comes."""
        with self.changing:
            gone = disk.temporary_beside(repository.folder)
            repository.folder.rename(gone)
            disk.sync_folder(gone.parent)
        shutil.rmtree(gone, ignore_errors=True)

    def move(self, repository: Repository, repo_id: str) -> None:
        """Give a repository another name."""
        target = self._at(repository.type, repo_id)
        with self.changing:
            if target.folder.exists():
                raise Refusal(409, f"Cannot move to {repo_id}: it exists already")
            repository.folder.rename(target.folder)
            disk.sync_folder(target.folder.parent)


def _key(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:24]
