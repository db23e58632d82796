"""A release read back from a Hub: found by its reference, at one commit, and read as plain data.

org/name[@revision]    datasets/org/name[@revision]    models/org/name[@revision]
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from lidr.errors import HubError
from lidr.hub import (
    DATASETS,
    HUGGING_FACE,
    Entry,
    ForeignJsonError,
    Patience,
    Target,
    listing,
    load_foreign_json,
    patiently,
    problem_of_repo,
    read_snapshot,
    target_of_environment,
)
from lidr.release.file_schemas import Content, Environment, Manifest, Run, fault
from lidr.release.staging import CONTENT
from lidr.store import Record, record_of, version_key

if TYPE_CHECKING:
    from pydantic import BaseModel

RUN, MANIFEST = "lidr/run.json", "lidr/manifest.json"
FORMS = "org/name@v1.0.0, datasets/org/name@v1.0.0, models/org/name@v1.0.0; a tag, a branch or a commit after the @"
_ALWAYS = 256 * 2**20
"""Bytes of a release that are downloaded whatever its manifest says."""
_WEIGHTS = (".safetensors", ".bin", ".gguf")

_VERSION = re.compile(r"v[0-9]{1,9}(\.[0-9]{1,9}){2}([-+.][0-9A-Za-z.+-]{1,60})?")
_FORM = re.compile(r"(?:(datasets|models)/)?([\w.-]+/[\w.-]+)(?:@([^\s@/][^\s@]*))?")


@dataclass(frozen=True)
class Found:
    """A repository at a commit.

    Args:
        name: org/name.
        requested: the tag or branch that was asked for; None: the main branch.
        sha: the commit it names now.
    """

    target: Target
    repo_type: Literal["dataset", "model"]
    name: str
    requested: str | None
    sha: str

    @property
    def key(self) -> str:
        """As the lock and snapshots name it: org/name of a model, datasets/org/name."""
        return f"{DATASETS}{self.name}" if self.repo_type == "dataset" else self.name

    @property
    def entries(self) -> tuple[Entry, ...]:
        """Its files, as the Hub lists them."""
        return listing(self.key, self.sha, target=self.target)

    def said(self, patience: Patience | None = None) -> str:
        """What was taken, in a line; where no tag was named also which one it is, and the newest release there is."""
        if self.requested is not None:
            return f"{self}: {self.repo_type} at {self.sha}"
        taken = f"{self.key}: no tag is named, so the main branch is taken, at {self.sha}"
        tags = self._releases(patience)
        if not tags:
            return f"{taken}; no release is tagged there"
        *_, newest = tags
        which = [tag for tag, sha in tags.items() if sha == self.sha][-1:] or ["no release"]
        if newest in which:
            return f"{taken}, which is {newest}, the newest tag"
        return f"{taken}, which is {which[0]}; the newest tag is {newest}: {self.repo_type}s/{self.name}@{newest}"

    def _releases(self, patience: Patience | None) -> dict[str, str]:
        """Tag -> its commit, of those that are versions, the oldest first."""
        ask = partial(self.target.api().list_repo_refs, self.name, repo_type=self.repo_type)
        refs = patiently(ask, what=self.name, target=self.target, patience=patience or Patience(tries=3))
        tags = [tag for tag in refs.tags if _VERSION.fullmatch(tag.name)]
        return {tag.name: tag.target_commit for tag in sorted(tags, key=lambda tag: version_key(tag.name[1:]))}

    def __str__(self) -> str:
        return f"{self.key}@{self.requested or self.sha}"


def target_or_public() -> Target:
    """The Hub of the environment, without a token where there is none."""
    return target_of_environment() or Target(HUGGING_FACE)


def find(text: str, target: Target, *, patience: Patience | None = None) -> Found:
    """Resolve a reference to a commit, once.

    Raises:
        HubError: no such form, repository, tag or commit; or a model and a data set of that name both fit.
    """
    match = _FORM.fullmatch(text)
    if match is None or problem_of_repo(match[2]) is not None:
        is_folder = text.startswith((".", "/", "~"))
        hint = ". A folder is not read: name the repository that it came from" if is_folder else ""
        raise HubError(f'"{text}" is no release; allowed forms: {FORMS}{hint}')
    kind, name, requested = match.groups()
    wanted: Sequence[Literal["dataset", "model"]] = ("dataset", "model")
    if kind:
        wanted = ("dataset",) if kind == "datasets" else ("model",)
    there = {repo_type: _commit(name, repo_type, requested, target, patience) for repo_type in wanted}
    found = {repo_type: sha for repo_type, sha in there.items() if sha}
    if len(found) > 1:
        raise HubError(f"{text}: there is a data set and a model of that name; write datasets/{text} or models/{text}")
    if not found:
        what = f"{requested} in {name}" if any(sha == "" for sha in there.values()) else name
        raise HubError(
            f"{text}: {target.endpoint} has no {what}: never published there, deleted, or private without HF_TOKEN. "
            'A Hub on this machine is asked after eval "$(lidr hub env)", `lidr hub ls` lists it; --endpoint names '
            "another"
        )
    ((repo_type, sha),) = found.items()
    if not re.fullmatch(r"[0-9a-f]{40}", sha):  # it becomes a part of folders' names
        raise HubError(f"{text}: {target.endpoint} names the commit {sha[:60]!r}, which is none: 40 hex digits")
    return Found(target, repo_type, name, requested, sha)


def _commit(name: str, kind: str, requested: str | None, target: Target, patience: Patience | None) -> str | None:
    """The commit; "" where the repository has no such revision, None where there is none."""
    from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

    def ask() -> str | None:
        try:
            return target.api().repo_info(name, repo_type=kind, revision=requested).sha
        except RevisionNotFoundError:
            return ""
        except RepositoryNotFoundError:
            return None

    return patiently(ask, what=name, target=target, patience=patience or Patience(tries=3))


@dataclass(frozen=True)
class OpenedRelease:
    """A release, read. `folder` holds its files, of a model without the weights."""

    found: Found
    folder: Path

    def json(self, path: str) -> dict[str, Any]:
        """A JSON file of the release.

        Raises:
            HubError: it is not there, or no JSON object.
        """
        try:
            content = load_foreign_json(self.folder / path)
        except FileNotFoundError:
            raise HubError(
                f"{self.found}: no {path}: not a release of lidr, or one that lost it. A release has lidr/run.json and "
                "lidr/records; name its tag"
            ) from None
        except ForeignJsonError as error:
            raise HubError(f"{self.found}: {path} is no JSON object: {error}; the release is damaged") from None
        if not isinstance(content, dict):
            raise HubError(f"{self.found}: {path} is no JSON object; the release is damaged")
        return content

    def _shaped(self, path: str, shape: type[BaseModel]) -> dict[str, Any]:
        """The same, with what a reader relies on in its place."""
        content = self.json(path)
        if wrong := fault(shape, content):
            raise HubError(f"{self.found}: {path}: {wrong}; the release is damaged")
        return content

    @cached_property
    def run(self) -> dict[str, Any]:
        """lidr/run.json."""
        schema = self.json(RUN).get("schema")
        if schema != 1:
            raise HubError(f"{self.found}: {RUN} has schema {schema}, this lidr reads 1: update lidr")
        return self._shaped(RUN, Run)

    @cached_property
    def manifest(self) -> dict[str, dict[str, Any]]:
        """Path -> what the manifest says of the file."""
        return {entry["path"]: entry for entry in self._shaped(MANIFEST, Manifest)["files"]}

    @cached_property
    def content(self) -> dict[str, Any]:
        """What is released, by content."""
        return self._shaped(CONTENT, Content)

    @cached_property
    def environment(self) -> dict[str, Any]:
        """Versions of the packages that made it."""
        return self._shaped("lidr/environment.json", Environment)

    @cached_property
    def records(self) -> dict[str, Record]:
        """Place -> record, in the order of the run."""
        return {step["place"]: self._record(step["place"]) for step in self.run["steps"]}

    def _record(self, place: str) -> Record:
        if not re.fullmatch(r"iter_[0-9]{1,6}/[a-z_]{1,64}", place):
            raise HubError(f"{self.found}: {RUN} names a step {place!r}; a place is iter_K/STEP")
        path = f"lidr/records/{place}.json"
        try:
            record = record_of(self.json(path))
        except ValueError as error:
            raise HubError(f"{self.found}: {path} is no record ({error}); the release is damaged") from None
        if record.place != place:  # it becomes the name of a folder
            raise HubError(f"{self.found}: {path} is the record of {record.place!r}; the release is damaged")
        return record

    @property
    def links(self) -> Mapping[str, Any]:
        """What belongs together: repo, datasets, siblings; empty for a release of an older lidr."""
        links: Mapping[str, Any] = self.run.get("release", {})
        return links

    def rows(self, config: str, split: str) -> list[Path]:
        """The Parquet files of one split, in order."""
        return sorted((self.folder / config).glob(f"{split}-*.parquet"))


def open_release(found: Found, into: Path, *, patterns: Sequence[str] | None = None) -> OpenedRelease:
    """Bring a release here, each file compared with what the Hub has there.

    Args:
        into: a folder for it.
        patterns: which files; None: all but weights.

    Raises:
        HubError: the Hub does not give it, or it is no release of lidr.
    """
    if patterns is None:
        wanted = without_weights(found)
        _check_size(found, wanted, into)
        patterns = [_literal(entry.path) for entry in wanted]
    folder = read_snapshot(found.key, found.sha, patterns=patterns, target=found.target, into=into)
    opened = OpenedRelease(found, folder)
    _ = opened.run
    return opened


def _check_size(found: Found, wanted: Sequence[Entry], into: Path) -> None:
    """Refuse what is far larger than the release says of itself, before it is downloaded.

    Raises:
        HubError: it is.
    """
    from rich.filesize import decimal

    sizes = {entry.path: entry.size for entry in wanted}
    if sum(sizes.values()) <= _ALWAYS:
        return
    if (largest := sizes.get(MANIFEST, 0)) > _ALWAYS:
        raise HubError(f"{found}: {MANIFEST} has {decimal(largest)}; the release is damaged")
    said = 0
    if MANIFEST in sizes:
        folder = read_snapshot(found.key, found.sha, patterns=[MANIFEST], target=found.target, into=into)
        manifest = OpenedRelease(found, folder).manifest
        said = sum(max(0, entry["bytes"]) for path, entry in manifest.items() if path in sizes)
    if sum(sizes.values()) > said + _ALWAYS:
        path, there = max(sizes, key=lambda path: sizes[path]), decimal(sum(sizes.values()))
        raise HubError(
            f"{found}: its files have {there} (the largest: {path[:200]}), and its {MANIFEST} says "
            f"{decimal(said)}; more than {decimal(_ALWAYS)} beyond that are not downloaded"
        )


def without_weights(found: Found) -> list[Entry]:
    """The files of a release that are brought here when it is opened; weights are known by their content's name."""
    return [entry for entry in found.entries if not (entry.sha256 and entry.path.endswith(_WEIGHTS))]


def _literal(path: str) -> str:
    return re.sub(r"([*?\[])", r"[\1]", path)
