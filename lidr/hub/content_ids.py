"""How a Hub names the content of a file: by SHA-256 in LFS, by git's blob id otherwise."""

from __future__ import annotations

import hashlib
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from lidr.store import file_sha256

if TYPE_CHECKING:
    from huggingface_hub.hf_api import RepoFile


class ContentId:
    """The identity of one staged file; computed when asked for, and once."""

    def __init__(self, file: Path) -> None:
        """Point at the file; it must not change any more."""
        self._file = file
        self._size = file.stat().st_size

    @cached_property
    def _sha256(self) -> str:
        return file_sha256(self._file)

    @cached_property
    def _blob(self) -> str:
        return git_blob_id(self._file)

    def match(self, there: RepoFile) -> bool:
        """Whether an entry of a repository's tree has this content."""
        if there.size != self._size:
            return False
        if there.lfs is not None:
            return bool(there.lfs.sha256 == self._sha256)
        return bool(there.blob_id == self._blob)


def git_blob_id(file: Path) -> str:
    """Git's id of a file's content, 40 hex digits."""
    digest = hashlib.sha1(f"blob {file.stat().st_size}\0".encode(), usedforsecurity=False)
    with file.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
