"""The files of one release, in a folder of their own, before anything is sent.

lidr/content.json    what is released, by content: equal for equal releases, whoever made them on whatever machine
lidr/manifest.json   every file with its sha256 and, for rows, their number and digest
lidr/recipe.yaml, recipe.lock.json, run.json, environment.json, records/iter_K/STEP.json
lidr/files, lidr/rows    what it takes to make the release again; see `lidr.release.reproduction_files`
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from lidr.errors import HubError
from lidr.hub import check_tag, without_paths
from lidr.release.finished import Finished, dumps, environment_json, record_json, run_json
from lidr.release.parents import licence_text
from lidr.release.reproduction_files import Links, reproduction_json, write_reproduction_files
from lidr.secrecy import clean_data
from lidr.store import LOCK_FILE, file_sha256

RepoType = Literal["dataset", "model"]
CONTENT = "lidr/content.json"
MOST_FILES = 100
"""The Hub's documentation advises at most this many files in one commit."""


@dataclass(frozen=True)
class RowFile:
    """A Parquet file that was staged: its configuration, its split, and its rows independent of their encoding."""

    path: str
    config: str
    split: str
    rows: int
    row_digest: str


@dataclass(frozen=True)
class DatasetFiles:
    """What was staged: the row files, and one example of each configuration for the card."""

    rows: tuple[RowFile, ...]
    samples: dict[str, dict[str, Any]]

    def splits(self, config: str) -> tuple[str, ...]:
        """Splits of a configuration that have rows: `datasets` cannot load one without."""
        return tuple(dict.fromkeys(file.split for file in self.rows if file.config == config and file.rows))

    def files(self, config: str) -> dict[str, tuple[str, ...]]:
        """The files of each of its splits that have rows."""
        return {
            split: tuple(sorted(file.path for file in self.rows if (file.config, file.split) == (config, split)))
            for split in self.splits(config)
        }

    @property
    def configs(self) -> tuple[str, ...]:
        """Configurations that can be loaded, the default one first."""
        names = dict.fromkeys(file.config for file in self.rows)
        return tuple(config for config in names if self.splits(config))


@dataclass(frozen=True)
class Staged:
    """A release that is ready to be sent.

    Args:
        files: path in the repository -> file here, without the card.
        owned: whether a path in the repository is ours to replace or remove.
        card: the README that is there now, or None -> the README to send.
        digest: of what is released; equal for equal releases.
        configs: of a data set: configuration -> split -> its files, as the card says them.
    """

    repo_type: RepoType
    tag: str
    files: Mapping[str, Path]
    digest: str
    owned: Callable[[str], bool]
    card: Callable[[str | None], str]
    title: str
    configs: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)


@contextmanager
def stage_folder() -> Iterator[Path]:
    """A folder that is gone afterwards."""
    with TemporaryDirectory(prefix="lidr-release-") as name:
        yield Path(name)


def write_text(folder: Path, path: str, text: str) -> None:
    """Write one text file of the release."""
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(clean_data(text), encoding="utf-8")


def write_description(
    run: Finished, folder: Path, *, files: list[RowFile], content: Mapping[str, Any], links: Links
) -> str:
    """Write `lidr/` and, where the licence is none of the Hub's, LICENSE.md; the digest of the content."""
    write_text(folder, "lidr/recipe.yaml", without_paths(run.text))
    lock = run.folder / LOCK_FILE
    if lock.exists():
        write_text(folder, f"lidr/{LOCK_FILE}", without_paths(lock.read_text(encoding="utf-8")))
    write_reproduction_files(run, folder)
    write_text(folder, "lidr/run.json", dumps({**run_json(run), **reproduction_json(run, links)}))
    write_text(folder, "lidr/environment.json", dumps(environment_json(run)))
    for record in run.records:
        write_text(folder, f"lidr/records/{record.place}.json", dumps(record_json(record), sort_keys=False))
    if run.licence.identifier == "other":
        write_text(folder, "LICENSE.md", licence_text(run.licence, run.parents))
    text = dumps({"schema": 1, "tag": run.tag, "license": run.licence.identifier, **content})
    write_text(folder, CONTENT, text)
    write_text(folder, "lidr/manifest.json", dumps({"schema": 1, "files": _manifest(folder, files)}))
    return hashlib.sha256(text.encode()).hexdigest()


def _manifest(folder: Path, rows: list[RowFile]) -> list[dict[str, Any]]:
    by_path = {entry.path: {"rows": entry.rows, "row_digest": entry.row_digest} for entry in rows}
    return [
        {"path": path, "bytes": file.stat().st_size, "sha256": file_sha256(file), **by_path.get(path, {})}
        for path, file in files_below(folder).items()
    ]


def files_below(folder: Path) -> dict[str, Path]:
    """Every file of the folder by its path in the repository."""
    return {p.relative_to(folder).as_posix(): p for p in sorted(folder.rglob("*")) if p.is_file()}


def check_staged(run: Finished, files: Mapping[str, Path]) -> None:
    """Refuse what cannot go into one commit.

    Raises:
        HubError: too many files, or a tag that is none.
    """
    check_tag(run.tag)
    if len(files) + 1 > MOST_FILES:
        raise HubError(
            f"{run.recipe.name} {run.recipe.version} makes {len(files) + 1} files, and one commit holds {MOST_FILES}: "
            "publish fewer iterations or languages as one version"
        )


def owned_by(pattern: str) -> Callable[[str], bool]:
    """Whether a path is one that lidr writes: `lidr/` and what the pattern says."""
    compiled = re.compile(pattern)
    return lambda path: path.startswith("lidr/") or bool(compiled.fullmatch(path))
