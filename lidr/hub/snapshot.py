"""Reading a repository at a commit, and seeing that what lies here is what the Hub has there, file by file.

A branch or a tag is never read: `load_dataset(repo, revision=...)` gives another cached revision when the Hub is away,
and says nothing. A commit cannot move, its list of files is asked for once and kept beside the client's cache, and
every file that is read is compared with it, whether the Hub answers or not.
"""

from __future__ import annotations

import fnmatch
import hashlib
import json
import re
import shutil
from collections.abc import Sequence, Set
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lidr.confined import why_unconfined
from lidr.errors import HubError
from lidr.hub.client import HUGGING_FACE, Target, meet_hub, plain_uploads, target_of_environment
from lidr.hub.content_ids import git_blob_id
from lidr.hub.hub_errors import away
from lidr.store import file_sha256, write_json

DATASETS = "datasets/"
"""What the name of a data set begins with, here and in recipe.lock.json."""

_NOT_CONTENT = ("README.md", ".gitattributes")
"""A card may be mended without another content; attributes say how a file is stored."""


@dataclass(frozen=True)
class Entry:
    """One file of a commit: named by the SHA-256 of its content where it is stored as LFS, else by git's blob id."""

    path: str
    size: int
    sha256: str | None
    blob_id: str

    @property
    def content_id(self) -> str:
        """Its name by content."""
        return f"sha256:{self.sha256}" if self.sha256 else f"git:{self.blob_id}"

    def is_at(self, file: Path) -> bool:
        """Whether a file on this machine has this content."""
        if file.stat().st_size != self.size:
            return False
        return file_sha256(file) == self.sha256 if self.sha256 else git_blob_id(file) == self.blob_id


def content_digest(entries: Sequence[Entry]) -> str:
    """SHA-256 over every file's path, content and size but the card's: the same on every Hub, whatever the commit."""
    lines = sorted(f"{e.path}\0{e.content_id}\0{e.size}" for e in entries if e.path not in _NOT_CONTENT)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def listing(repo: str, sha: str, *, target: Target | None = None, anew: bool = False) -> tuple[Entry, ...]:
    """The files of a commit, as the Hub named them when it was first asked; kept, because a commit cannot change.

    Args:
        repo: org/name of a model, or datasets/org/name.
        sha: 40 hex digits.
        target: the Hub; None is that of the environment.
        anew: ask the Hub whatever is kept, and keep its answer.

    Raises:
        HubError: no commit, or it was never listed here (or is asked for anew) and the Hub does not answer.
    """
    if not re.fullmatch(r"[0-9a-f]{40}", sha):
        raise HubError(f"{repo}@{sha}: only a commit (40 hex digits) is read; resolve it first: `lidr lock RECIPE`")
    kept = _kept_at(repo, sha)
    if not anew and (known := _read_kept(kept)) is not None:
        return known
    entries = tuple(listed(repo, sha, target=target))
    kept.parent.mkdir(parents=True, exist_ok=True)
    write_json(kept, {"schema": 1, "repo": repo, "commit": sha, "files": [asdict(entry) for entry in entries]})
    return entries


def _kept_at(repo: str, sha: str) -> Path:
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE) / ".lidr-listings" / repo.replace("/", "--") / f"{sha}.json"


def _read_kept(path: Path) -> tuple[Entry, ...] | None:
    try:
        return tuple(Entry(**entry) for entry in json.loads(path.read_text(encoding="utf-8"))["files"])
    except (FileNotFoundError, ValueError, KeyError, TypeError, RecursionError):
        return None


def listed(repo: str, sha: str, *, target: Target | None = None) -> list[Entry]:
    """The files of a commit, as the Hub names them now; nothing of it is kept.

    Raises:
        HubError: no such commit, or the Hub does not answer.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.hf_api import RepoFile

    api = target.api() if target else HfApi()
    name, kind = _name(repo)
    try:
        meet_hub(api)
        found = list(api.list_repo_tree(name, revision=sha, repo_type=kind, recursive=True))
    except Exception as error:  # the client has changed its HTTP library: its errors share no name
        raise away(f"{repo}@{sha}", error) from error
    files = [f for f in found if isinstance(f, RepoFile)]
    for file in files:
        if (why := why_unconfined(file.path)) or not 0 <= file.size < 2**63:
            raise HubError(f"{repo}@{sha}: the Hub lists a file {file.path[:200]!r} ({why or 'of no size'}); not read")
    return [Entry(f.path, f.size, f.lfs.sha256 if f.lfs else None, f.blob_id) for f in files]


def _name(repo: str) -> tuple[str, str]:
    return (repo.removeprefix(DATASETS), "dataset") if repo.startswith(DATASETS) else (repo, "model")


def read_snapshot(
    repo: str,
    sha: str,
    *,
    patterns: Sequence[str] | None = None,
    digest: str | None = None,
    target: Target | None = None,
    into: Path | None = None,
) -> Path:
    """The files of a repository at a commit, each compared with what the Hub has there.

    Args:
        repo: org/name of a model, or datasets/org/name.
        sha: the commit, 40 hex digits.
        patterns: which files; None: all.
        digest: what the lock says of the whole content.
        target: the Hub; None is that of the environment.
        into: a folder of one's own; None is the client's cache.

    Raises:
        HubError: the Hub does not give them; the commit holds another content than was locked; a file is missing or
            altered here; or they do not fit on the disk of `into`.
    """
    entries = listing(repo, sha, target=target)
    if digest is not None and content_digest(entries) != digest:
        raise HubError(
            f"{repo}@{sha}: recipe.lock.json holds the content {digest[:12]} for this commit, and the Hub lists "
            f"{content_digest(entries)[:12]}: not the same files. Ask who keeps that Hub, or `lidr lock RECIPE`"
        )
    wanted = _wanted(entries, patterns)
    if into is not None:
        _check_space(f"{repo}@{sha}", into, wanted)
    before = into if into is not None else _cached(*_name(repo), sha)
    was_here = {entry.path for entry in wanted if before is not None and (before / entry.path).is_file()}
    folder = _download(repo, sha, patterns, target, into)
    _verify(f"{repo}@{sha}", folder, wanted, was_here)
    return folder


def read_file(repo: str, sha: str, path: str, *, target: Target | None = None) -> Path:
    """One file of a repository at a commit, compared with what the Hub has there.

    Raises:
        HubError: the commit has no such file, the Hub does not give it, or it was altered here.
    """
    if path not in {entry.path for entry in listing(repo, sha, target=target)}:
        raise HubError(f"{repo}@{sha} has no file {path}; check the name, or pin another commit: `lidr lock RECIPE`")
    return read_snapshot(repo, sha, patterns=[path], target=target) / path


def _wanted(entries: Sequence[Entry], patterns: Sequence[str] | None) -> list[Entry]:
    """The entries that fit the patterns, as the client reads them: `*` also stands for slashes."""
    return [
        entry
        for entry in entries
        if entry.path != ".gitattributes"
        and (patterns is None or any(fnmatch.fnmatchcase(entry.path, pattern) for pattern in patterns))
    ]


def _check_space(what: str, into: Path, wanted: Sequence[Entry]) -> None:
    """Refuse before the first byte what cannot end well: what is here already needs no space."""
    from rich.filesize import decimal

    there = next(folder for folder in (into.absolute(), *into.absolute().parents) if folder.exists())
    needed = sum(entry.size for entry in wanted if not (into / entry.path).is_file())
    free = shutil.disk_usage(there).free
    if needed > free:
        raise HubError(
            f"{what}: its {len(wanted):,} files need {decimal(needed)}, and the disk of {there} has {decimal(free)} "
            "free. Make space there, or name another folder"
        )


def _download(repo: str, sha: str, patterns: Sequence[str] | None, target: Target | None, into: Path | None) -> Path:
    from huggingface_hub import snapshot_download

    name, kind = _name(repo)
    where: dict[str, Any] = {"endpoint": target.endpoint, "token": target.token or False} if target else {}
    if into is not None:
        where["local_dir"] = into
    wanted = list(patterns) if patterns is not None else None
    try:
        with plain_uploads(target or target_of_environment() or Target(HUGGING_FACE)):
            return Path(snapshot_download(name, revision=sha, repo_type=kind, allow_patterns=wanted, **where))
    except Exception as error:  # the client has changed its HTTP library: its errors share no name
        partial = _cached(name, kind, sha)
        if into is None and partial is not None:
            return partial  # what is missing of it is named
        raise away(f"{repo}@{sha}", error) from error


def _cached(name: str, kind: str, sha: str) -> Path | None:
    from huggingface_hub import constants

    folder = Path(constants.HF_HUB_CACHE) / f"{kind}s--{name.replace('/', '--')}" / "snapshots" / sha
    return folder if folder.is_dir() else None


def _verify(what: str, folder: Path, wanted: Sequence[Entry], was_here: Set[str]) -> None:
    """Compare; `was_here`: the paths of files that were not downloaded just now."""
    missing = [entry.path for entry in wanted if not (folder / entry.path).is_file()]
    if missing:
        raise HubError(
            f"{what}: {_some(missing)} missing in {folder}: only a part of it was ever downloaded, and the Hub did not "
            "give the rest. Run the same command again when the Hub answers"
        )
    altered = [entry.path for entry in wanted if not entry.is_at(folder / entry.path)]
    if came := [path for path in altered if path not in was_here]:
        raise HubError(
            f"{what}: {_some(came)} damaged on the Hub: what it gives is not the content that it lists for the commit. "
            f"Tell who keeps the repository, or read another commit; here, remove {(folder / came[0]).resolve()}"
        )
    if altered:
        first = (folder / altered[0]).resolve()
        raise HubError(
            f"{what}: {_some(altered)} altered on this machine: not the content that the commit has. Remove {first} "
            "and run the same command again, which downloads it anew"
        )


def _some(paths: Sequence[str]) -> str:
    more = f" and {len(paths) - 3} more" if len(paths) > 3 else ""
    return f"{', '.join(paths[:3])}{more} {'is' if len(paths) == 1 else 'are'}"
