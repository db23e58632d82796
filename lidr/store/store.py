"""The store: where artifacts stand, which are complete, who may write.

One process writes at a time; others wait their turn. The lock is the kernel's (flock), so it ends with its process,
however that ends.
"""

from __future__ import annotations

import datetime as dt
import glob
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from lidr.disk_faults import is_full, is_told, locked, no_space
from lidr.errors import StoreError
from lidr.rows import RowType
from lidr.store.artifact import Artifact, ArtifactWriter, damaged, open_artifact, with_files
from lidr.store.digests import hashed, kept_digests
from lidr.store.record import RECORD_FILE, Record, contradiction, read_record, write_record
from lidr.store.sealed_json import read_sealed, write_json
from lidr.worker import this_process

DEFAULT_STORE = "runs"
HOLDER_FILE = ".holder.json"

_SCRATCH = ("model", "translator")
"""Below `work`, what a next try makes anew."""


def store_root(text: str = DEFAULT_STORE, beside: Path | None = None) -> Path:
    """The folder of the store; see `find_store`."""
    return find_store(text, beside).root


_ADDRESS = re.compile(r"[a-zA-Z][\w+.-]*://")


class StorePlace(NamedTuple):
    """Where a store is, and why there."""

    root: Path
    why: str


def _folder(text: str, setting: str) -> Path:
    if _ADDRESS.match(text):
        raise StoreError(
            f"{setting} names {text}, an address: a store is a folder on a disk of this machine, or one that it shares "
            "with others. Name a folder; finished runs can be copied to a bucket by its own tools, or published"
        )
    return Path(text).expanduser()


def find_store(text: str = DEFAULT_STORE, beside: Path | None = None) -> StorePlace:
    """Find the store: LIDR_STORE, else an existing folder of that name in the working folder, else one beside the
    recipe, else a new one in the working folder.

    Args:
        text: what the recipe says in runtime.store.
        beside: the recipe's folder; inside an installed lidr it does not count.

    Raises:
        StoreError: a new one would stand inside an installed lidr, LIDR_STORE names a file, or it is no path.
    """
    if (given := os.environ.get("LIDR_STORE")) is not None and given:
        named = _folder(given, "LIDR_STORE (or --store)")
        if named.exists() and not named.is_dir():
            raise StoreError(f"LIDR_STORE (or --store) names {named}, which is a file; name a folder")
        return StorePlace(named, "by --store or LIDR_STORE")
    root = _folder(text, "runtime.store")
    if root.is_absolute():
        return StorePlace(root, "by runtime.store")
    if root.exists():
        return StorePlace(root, "in the working folder")
    if beside is not None and not _is_installed(beside) and (beside / root).is_dir():
        return StorePlace(beside / root, "beside the recipe")
    if _is_installed(Path()):
        raise StoreError(
            f"{root.resolve()}: inside the installed lidr, where no store is made. Change to a folder of yours, "
            "or name one with --store FOLDER or LIDR_STORE"
        )
    return StorePlace(root, "new, in the working folder")


def _is_installed(folder: Path) -> bool:
    """Whether a folder is a part of this lidr as it is installed: its package, and what ships in it."""
    package = Path(__file__).resolve().parents[1]
    return package in (folder.resolve(), *folder.resolve().parents)


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

    def records_of(self, recipe: str, version: str) -> list[tuple[Path, Record]]:
        """Every complete artifact of one version, by name.

        Raises:
            StoreError: a record is damaged, so nobody can say what the run holds.
        """
        found = self.root.glob(f"{glob.escape(recipe)}/{glob.escape(version)}/iter_*/*/{RECORD_FILE}")
        files = sorted(path for path in found if not path.parent.name.endswith(".partial"))
        read = [(path.parent, read_record(path.parent)) for path in files]
        return [(folder, record) for folder, record in read if record is not None]

    def check(self, folder: Path, record: Record | None = None) -> Artifact:
        """Open an artifact and compare all its files with its record: those that have changed since the store's index
        knows them are read.

        Args:
            folder: of the artifact.
            record: its record, where it was read already.

        Raises:
            StoreError: it is not whole; see `open_artifact`.
        """
        is_sound = record is not None and contradiction(record) is None
        artifact = with_files(folder, record) if record is not None and is_sound else open_artifact(folder)
        paths = [folder / entry.path for entry in artifact.record.files]
        for path, entry, found in zip(paths, artifact.record.files, kept_digests(paths, self.root), strict=True):
            if found != entry.sha256 and (now := hashed(path)) != entry.sha256:  # the index may be wrong, too
                raise damaged(path, entry, now, artifact.record.place)
        return artifact

    def runs(self) -> list[str]:
        """Names of the recipes that it holds anything of."""
        try:
            folders = [path for path in self.root.iterdir() if path.is_dir() and not path.name.startswith(".")]
        except FileNotFoundError:
            return []
        return sorted(path.name for path in folders if any(path.glob("*/iter_*")))

    def versions(self, recipe: str) -> list[str]:
        """Versions of a recipe that the store holds, oldest first."""
        folders = [path for path in self.root.glob(f"{recipe}/*") if path.is_dir()]
        return [path.name for path in sorted(folders, key=lambda p: version_key(p.name))]

    @contextmanager
    def lock(self, work: str, say: Callable[[str], None]) -> Iterator[None]:
        """Hold the store for writing.

        Args:
            work: what is done meanwhile, for whoever waits: `run quickstart@0.1.0`.
            say: told once who holds it, and what one can do, when one must wait.

        Raises:
            StoreError: the file system has no locks.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        holder = self.root / HOLDER_FILE
        with locked(self.root / ".lock", lambda: say(_waiting_text(self.root, holder))):
            with suppress(OSError):  # a full disk: who holds it is for others' messages alone
                since = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
                write_json(holder, {**this_process(), "work": work, "since": since})
            try:
                yield
            finally:
                with suppress(OSError):
                    holder.unlink()

    @property
    def holder(self) -> dict[str, Any] | None:
        """Who writes to it now, or ended without a word while it did: `this_process`, `work` and `since`; None where
        nobody does.
        """
        try:
            held = json.loads((self.root / HOLDER_FILE).read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return None
        return held if isinstance(held, dict) else None

    @contextmanager
    def writing(self, folder: Path, writes: RowType, begun: dict[str, Any]) -> Iterator[ArtifactWriter]:
        """Open the unfinished folder of a step; what an interrupted try of the same `begun` finished is still there.

        Raises:
            StoreError: the disk is full. What was finished is kept.
        """
        partial = partial_folder(folder)
        for part in ("data", "dropped"):
            shutil.rmtree(partial / part, ignore_errors=True)
        try:
            partial.mkdir(parents=True, exist_ok=True)
            write_json(partial / "identity.json", begun, sealed=True)
            yield ArtifactWriter(partial, writes)
        except Exception as error:
            if is_full(error) and not is_told(error):
                raise StoreError(no_space(error, partial)) from error
            raise

    def commit(self, folder: Path, record: Record) -> Artifact:
        """Turn the unfinished folder into the artifact: record last, then one rename."""
        write_record(partial_folder(folder), record)
        _put_in_place(folder)
        return open_artifact(folder)

    def settle(self, recipe: str | None = None, version: str | None = None) -> int:
        """Finish commits that were interrupted between the record and the rename, of one version or of all; how many
        there were.
        """
        below = "/".join("*" if name is None else glob.escape(name) for name in (recipe, version))
        found = list(self.root.glob(f"{below}/iter_*/*.partial/{RECORD_FILE}"))
        for path in found:
            _put_in_place(path.parent.with_name(path.parent.name.removesuffix(".partial")))
        return len(found)

    def adopt(self, source: Artifact, folder: Path, record: Record) -> Artifact:
        """Take over an artifact of the same fingerprint from another version: linked where possible, else copied.

        Raises:
            StoreError: the source is damaged; nothing is taken over.
        """
        source.verified()
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
    """What an unfinished try was making, {"identity": ..., "inputs": ...}, or None when there is none.

    Raises:
        StoreError: it began something, and what that was cannot be read.
    """
    path = partial_folder(folder) / "identity.json"
    advice = f"Put the file back as it was, or make the step again with --rebuild {folder.parent.name}/{folder.name}"
    try:
        begun = read_sealed(path)
    except FileNotFoundError:
        if has_finished_rows(folder):
            raise StoreError(f"{path}: missing, so nothing says what was begun here. {advice}") from None
        return None
    except ValueError as error:
        raise StoreError(f"{path}: damaged ({error}). {advice}") from None
    if not isinstance(begun.get("identity"), dict) or not isinstance(begun.get("inputs"), dict):
        raise StoreError(f"{path}: damaged (no identity and inputs). {advice}")
    return begun


def has_finished_rows(folder: Path) -> bool:
    """Whether an unfinished try finished anything that a next one goes on with: journals, checkpoints, an evaluation's
    answers. One that failed before made nothing; logs, and what is worked out anew each time, do not count.
    """
    work = partial_folder(folder) / "work"
    kept = [*work.glob("*.jsonl")]
    for below in sorted(path for path in work.glob("*") if path.is_dir() and path.name not in _SCRATCH):
        kept += [path for path in below.rglob("*") if path.is_file() and path.suffix != ".txt"]
    return any(path.stat().st_size for path in kept)


def _put_in_place(folder: Path) -> None:
    partial = partial_folder(folder)
    shutil.rmtree(partial / "work", ignore_errors=True)
    for name in ("progress.json", "identity.json"):
        (partial / name).unlink(missing_ok=True)
    _remove(folder)
    partial.rename(folder)


def discard(folder: Path) -> None:
    """Remove an artifact and its unfinished try."""
    _remove(folder)
    discard_try(folder)


def discard_try(folder: Path) -> None:
    """Remove what an unfinished try left."""
    shutil.rmtree(partial_folder(folder), ignore_errors=True)


def _remove(folder: Path) -> None:
    """The record first: what a kill leaves of it is no artifact any more."""
    if folder.is_dir():
        (folder / RECORD_FILE).unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)


def _waiting_text(root: Path, holder: Path) -> str:
    return (
        f"{root}: {_holder_text(holder)} is writing to this store, and one process writes to a store at a time; "
        "waiting for it to finish. To run beside it, interrupt this and name another store: --store FOLDER or "
        "LIDR_STORE"
    )


def _holder_text(path: Path) -> str:
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
        process = f"process {held['pid']}"
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return "another process"
    if not {"work", "since"} <= held.keys():  # an older lidr's
        return process
    return f"lidr {held['work']} ({process}, since {held['since']})"


def version_key(version: str) -> tuple[Any, ...]:
    """Semantic versioning's order: 1.0.0-rc.2 < 1.0.0-rc.10 < 1.0.0; what follows `+` says nothing."""
    core, _, before = version.partition("+")[0].partition("-")
    return _in_order(core), not before, _in_order(before), version


def _in_order(parts: str) -> tuple[tuple[int, int, str], ...]:
    """Numbers by their value, and before words."""
    found = (part for part in parts.split(".") if part)
    return tuple((0, int(part), "") if part.isdecimal() else (1, 0, part) for part in found)
