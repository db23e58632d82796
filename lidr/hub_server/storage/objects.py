"""All file contents of all repositories, each once, under the sha256 of its bytes."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from lidr.hub_server.refusal import Refusal
from lidr.hub_server.storage import disk


class Objects:
    """The folder `objects/`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def path(self, sha256: str) -> Path:
        """Where the content is, or would be. The caller has checked that `sha256` is one."""
        return self.folder / sha256[:2] / sha256

    def size(self, sha256: str) -> int | None:
        """The size in bytes; None when the content is not here."""
        try:
            return self.path(sha256).stat().st_size
        except FileNotFoundError:
            return None

    def keep(self, sha256: str) -> None:
        """Count the content as new, so that the collector waits for the commit that is about to name it."""
        os.utime(self.path(sha256))

    def put(self, content: bytes) -> str:
        """Store bytes that are in memory."""
        incoming = Incoming(self)
        incoming.write(content)
        return incoming.finish()

    def read(self, sha256: str) -> bytes:
        """The whole content; for small files only."""
        return self.path(sha256).read_bytes()

    def all(self) -> Iterator[Path]:
        """Every file in the folder, also what is unfinished."""
        return self.folder.glob("*/*")


class Incoming:
    """Content on its way in: it is hashed while it is written, and takes its name when it is whole."""

    def __init__(self, objects: Objects) -> None:
        self._objects, self._hash = objects, hashlib.sha256()
        self._temporary = disk.temporary_beside(objects.folder / "incoming" / "x")
        self._temporary.parent.mkdir(exist_ok=True)
        self._file = self._temporary.open("xb")
        self.size = 0

    def write(self, chunk: bytes) -> None:
        """Add bytes."""
        self._hash.update(chunk)
        self._file.write(chunk)
        self.size += len(chunk)

    def finish(self, expected: str | None = None) -> str:
        """Flush, check and name the content; returns its sha256.

        Raises:
            Refusal: the content is not what was announced.
        """
        sha256 = self._hash.hexdigest()
        if expected is not None and sha256 != expected:
            self.abandon()
            raise Refusal(422, f"The content has sha256 {sha256}, not the announced {expected}")
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            target = self._objects.path(sha256)
            if not target.parent.is_dir():
                target.parent.mkdir(exist_ok=True)
                disk.sync_folder(target.parent.parent)
            self._temporary.replace(target)
        except BaseException:
            self.abandon()
            raise
        disk.sync_folder(target.parent)
        return sha256

    def abandon(self) -> None:
        """Forget what came."""
        self._file.close()
        self._temporary.unlink(missing_ok=True)
