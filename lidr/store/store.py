"""The store: where artifacts stand, which are complete, who may write.

One process writes at a time; others wait their turn. The lock is the kernel's (flock), so it ends with its process,
however that ends.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from lidr.errors import StoreError
from lidr.rows import RowType
from lidr.store.artifact import Artifact, ArtifactWriter, open_artifact
from lidr.store.record import RECORD_FILE, Record, read_record, write_json, write_record

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def store_root(text: str) -> Path:
    """The folder of the store: LIDR_STORE, else what a recipe says in runtime.store."""
    return Path(os.environ.get("LIDR_STORE") or text).expanduser()


class Store:
    """A folder of artifacts."""

    def __init__(self, root: Path) -> None:
        """Point at the folder; it is made when first written to."""
        self.root = root

    def version_folder(self, recipe: str, version: str) -> Path:
        """Folder of one version of one recipe."""
        return self.root / recipe / version

    def folder(self, recipe: str, version: str, place: str) -> Path:
        """Folder of one artifact; `place` is `iter_<k>/<step>`."""
        return self.version_folder(recipe, version) / place

    def records(self, recipe: str | None = None) -> Iterator[tuple[Path, Record]]:
        """Every complete artifact of a recipe, or of all, by name; those whose record cannot be read are left out."""
        for path in sorted(self.root.glob(f"{recipe or '*'}/*/iter_*/*/{RECORD_FILE}")):
            with suppress(StoreError):
                if not path.parent.name.endswith(".partial") and (record := read_record(path.parent)) is not None:
                    yield path.parent, record

    def versions(self, recipe: str) -> list[str]:
        """Versions of a recipe that the store holds, oldest first."""
        folders = [path for path in self.root.glob(f"{recipe}/*") if path.is_dir()]
        return [path.name for path in sorted(folders, key=lambda p: _version_key(p.name))]

    @contextmanager
    def lock(self, on_wait: Callable[[str], None]) -> Iterator[None]:
        """Hold the store for writing; `on_wait` is told once who holds it when one must wait."""
        self.root.mkdir(parents=True, exist_ok=True)
        holder = self.root / ".holder.json"
        from filelock import FileLock, Timeout

        lock = FileLock(self.root / ".lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            on_wait(_holder_text(holder))
            lock.acquire()
        try:
            write_json(holder, {"pid": os.getpid()})
            yield
        finally:
            lock.release()

    @contextmanager
    def writing(self, folder: Path, writes: RowType, begun: dict[str, Any]) -> Iterator[ArtifactWriter]:
        """Open the unfinished folder of a step; what an interrupted try of the same `begun` finished is still there.

        Raises:
            StoreError: the disk is full. What was finished is kept.
        """
        partial = partial_folder(folder)
        for part in ("data", "dropped"):
            shutil.rmtree(partial / part, ignore_errors=True)
        partial.mkdir(parents=True, exist_ok=True)
        try:
            write_json(partial / "identity.json", begun)
            yield ArtifactWriter(partial, writes)
        except OSError as error:
            if error.errno not in _FULL:
                raise
            raise StoreError(
                f"no space left while writing {error.filename or partial}: finished rows are kept. Free some space on "
                "that disk, or move the store (--set runtime.store=FOLDER), then run the same command again"
            ) from error

    def commit(self, folder: Path, record: Record) -> Artifact:
        """Turn the unfinished folder into the artifact: record last, then one rename."""
        write_record(partial_folder(folder), record)
        _put_in_place(folder)
        return open_artifact(folder)

    def settle(self) -> None:
        """Finish commits that were interrupted between the record and the rename."""
        for path in self.root.glob(f"*/*/iter_*/*.partial/{RECORD_FILE}"):
            _put_in_place(path.parent.with_name(path.parent.name.removesuffix(".partial")))

    def adopt(self, source: Artifact, folder: Path, record: Record) -> Artifact:
        """Take over an artifact of the same fingerprint from another version: linked where possible, else copied."""
        partial = partial_folder(folder)
        shutil.rmtree(partial, ignore_errors=True)
        for entry in source.record.files:
            target = partial / entry.path
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(source.folder / entry.path, target)
            except OSError:
                shutil.copy2(source.folder / entry.path, target)
        return self.commit(folder, replace(record, reused_from=str(source.folder.relative_to(self.root))))


def partial_folder(folder: Path) -> Path:
    """Where a step works before it is complete."""
    return folder.with_name(folder.name + ".partial")


def partial_identity(folder: Path) -> dict[str, Any] | None:
    """What an unfinished try was making, {"identity": ..., "inputs": ...}, or None when there is none."""
    try:
        begun = json.loads((partial_folder(folder) / "identity.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return begun if isinstance(begun, dict) and {"identity", "inputs"} <= set(begun) else None


def _put_in_place(folder: Path) -> None:
    partial = partial_folder(folder)
    shutil.rmtree(partial / "work", ignore_errors=True)
    for name in ("progress.json", "identity.json"):
        (partial / name).unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)


def discard(folder: Path) -> None:
    """Remove an artifact and its unfinished try."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.rmtree(partial_folder(folder), ignore_errors=True)


def _holder_text(path: Path) -> str:
    try:
        return f"process {json.loads(path.read_text(encoding='utf-8'))['pid']}"
    except (OSError, ValueError, KeyError):
        return "another process"


def _version_key(version: str) -> tuple[tuple[int, int | str], ...]:
    return tuple((0, int(part)) if part.isdigit() else (1, part) for part in version.replace("-", ".").split("."))
