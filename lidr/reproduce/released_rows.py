"""What a release holds, as artifacts: its rows are brought back into the tables of the steps that wrote them.

Each is compared with the digest in run.json before anything is made from it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from lidr.errors import HubError, LidrError
from lidr.hub import DATASETS, MODEL_FILES, read_snapshot
from lidr.release import (
    MOST_ROWS,
    OpenedRelease,
    find,
    open_release,
    read_bounded,
    read_outputs,
    rows_of,
    write_samples,
)
from lidr.reproduce.verdict import Finding
from lidr.rows import SAMPLE, Pair, Prompt, PromptTranslation, Response, RowType, Translation
from lidr.steps import STEPS
from lidr.store import Artifact, ArtifactWriter, Record

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

_CANDIDATES: dict[str, tuple[RowType, str, dict[str, str]]] = {
    "prompts": (Prompt, "response", {"prompt_text": "text"}),
    "responses": (Response, "response", {}),
    "translations": (Translation, "translation", {"language": "target"}),
    "prompt_translations": (PromptTranslation, "prompt_translation", {"language": "target"}),
}
"""Rows -> their type, the kind of candidates they stand in, and columns that have another name there."""


@dataclass
class PublishedRows:
    """The artifacts of a release, brought here when they are asked for.

    Args:
        release: of a data set or of a model.
        rows: the release that holds the rows: the same, or the data set that a model names; None: there is none.
        folder: for the artifacts.
        limits: place -> most rows that its step can have written; most_dropped: iteration -> most rows that its steps
            can have dropped; most_outputs: answers of an evaluation. More are never used.
        touched: what does not have the digest that run.json says; filled as artifacts are brought.
    """

    release: OpenedRelease
    rows: OpenedRelease | None
    folder: Path
    limits: Mapping[str, int] = field(default_factory=dict)
    most_dropped: Mapping[int, int] = field(default_factory=dict)
    most_outputs: int = MOST_ROWS
    touched: list[Finding] = field(default_factory=list)
    _known: dict[tuple[str, int | None], Artifact | None] = field(default_factory=dict)
    _policies: dict[str, Artifact] = field(default_factory=dict)

    def artifact(self, place: str, first: int | None = None) -> Artifact | None:
        """The rows of a step; None where the release does not hold them.

        Args:
            first: only those of so many prompts; all are compared with their digest nevertheless.
        """
        if first is not None and self.artifact(place) is None:
            return None
        if (place, first) not in self._known:
            self._known[place, first] = self._bring(self.release.records[place], first)
        return self._known[place, first]

    def named(self, place: str) -> Artifact:
        """A step by its record alone: for those who only need to know who it was."""
        return Artifact(self.folder / "named" / place, replace(self.release.records[place], files=()))

    def _bring(self, record: Record, first: int | None) -> Artifact | None:
        folder = self.folder / ("rows" if first is None else f"first-{first}") / record.place
        paths, table = self._table(record, first)
        if table is None:
            return None
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        writer = ArtifactWriter(folder, STEPS[record.step].writes)
        writer.data.write(table)
        outputs = read_outputs(self.release.folder, record.place, most=self.most_outputs)
        if outputs is not None:  # gates read the answers, too
            write_samples(outputs, folder)
        files, _ = writer.finish()
        artifact = Artifact(folder, replace(record, files=files))
        if first is None:
            self._check(artifact, paths)
        return artifact

    def _table(self, record: Record, first: int | None) -> tuple[list[str], pa.Table | None]:
        """The files that hold the rows of a step, and the rows; None where there are none, or none that can be read."""
        import polars as pl
        import pyarrow as pa

        try:
            paths, frame = self._frame(record)
            if frame is None:
                return paths, None
            if first is not None:
                kept = frame["prompt_id"].unique(maintain_order=True)[:first]
                frame = frame.filter(frame["prompt_id"].is_in(kept.implode()))
            schema = STEPS[record.step].writes.schema_with(frame.columns)
            table = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
            return paths, table.select(schema.names).cast(schema)
        except (HubError, pl.exceptions.PolarsError, pa.ArrowException, LookupError, ValueError, TypeError) as error:
            said = (str(error).splitlines() or [type(error).__name__])[0]
            self.touched.append(Finding(f"rows of {record.place}", f"cannot be read from their files: {said}"))
            return [], None

    def _check(self, artifact: Artifact, paths: list[str]) -> None:
        record = artifact.record
        said = self.release.run.get("rows", {}).get(record.place, {}).get("data", {})
        found = rows_of(artifact)["data"]
        if said.get("digest") != found["digest"]:
            path = ", ".join(paths)
            text = f"holds other rows of {record.place} ({found['digest'][:12]}) than run.json says"
            self.touched.append(Finding(path, f"{text} ({str(said.get('digest'))[:12]})"))

    def _frame(self, record: Record) -> tuple[list[str], pl.DataFrame | None]:
        """The files that hold the rows of a step, and the rows."""
        import polars as pl

        split, most = f"iter_{record.iteration}", self.limits.get(record.place, MOST_ROWS)
        if record.writes in _CANDIDATES and self.rows is not None:
            rows, kind, names = _CANDIDATES[record.writes]
            files = self.rows.rows("candidates", split)
            if (frame := _read(files, self._candidates(record.iteration))) is None:
                return [], None
            frame = frame.filter(pl.col("kind") == kind)
            if rows is Prompt and SAMPLE in frame.columns:  # a prompt stands beside each of its answers
                frame = frame.filter(pl.col(SAMPLE) == 0)
            if kind == "response":
                frame = _at_most(frame, most)
            frame = frame.drop([new for new in names.values() if new in frame.columns]).rename(names)
            return _named(self.rows, files), frame.select(rows.schema_with(frame.columns).names)
        if record.writes == Pair.name and self.rows is not None and record.place == self._last_pairs(record.iteration):
            files = self.rows.rows("all", split)
            return _named(self.rows, files), _read(files, most)
        files = sorted((self.release.folder / "lidr/rows" / record.place).glob("*.parquet"))
        return _named(self.release, files), _read(files, most)

    def _candidates(self, iteration: int) -> int:
        """Responses and translations stand in one table."""
        places = [
            r.place for r in self.release.records.values() if r.iteration == iteration and r.writes in _CANDIDATES
        ]
        return sum(self.limits.get(place, MOST_ROWS) for place in places)

    def _last_pairs(self, iteration: int) -> str:
        records = self.release.records.values()
        return [r.place for r in records if r.writes == Pair.name and r.iteration == iteration][-1]

    def dropped(self, record: Record) -> pl.DataFrame | None:
        """The dropped rows of a step."""
        import polars as pl

        files = self.rows.rows("dropped", f"iter_{record.iteration}") if self.rows else []
        try:
            frame = _read(files, self.most_dropped.get(record.iteration, MOST_ROWS))
            return None if frame is None else frame.filter(pl.col("step") == record.step)
        except (HubError, pl.exceptions.PolarsError):
            return None  # said where the files are looked at

    def policy(self, record: Record) -> Artifact | None:
        """The weights that a train step wrote, where they are published: a model folder below an artifact."""
        if record.place not in self._policies:
            folder = self.folder / "policies" / record.place
            shutil.rmtree(folder, ignore_errors=True)  # what an interrupted reproduction left
            source = self._weights(record)
            if source is not None:
                _link(source, folder / "model")
                files, _ = ArtifactWriter(folder, STEPS[record.step].writes).finish()
                source_of = {e.path: e.sha256 for e in record.files if e.path.endswith(".safetensors")}
                if any(source_of.get(e.path, e.sha256) != e.sha256 for e in files):
                    raise HubError(f"{source}: other weights than the record of {record.place} names")
                self._policies[record.place] = Artifact(folder, replace(record, files=files))
        return self._policies.get(record.place)

    def _weights(self, record: Record) -> Path | None:
        """A published model whose weights are those that the record names."""
        repo = self.release.links.get("siblings", {}).get("policy")
        if not repo:
            return None
        tag, found = self.release.run["tag"], self.release.found
        whole = f"v{self.release.run['version']}"
        wanted = {e.path.removeprefix("model/"): e.sha256 for e in record.files if e.path.endswith(".safetensors")}
        wanted = {path: sha256 for path, sha256 in wanted.items() if "/" not in path}
        for name in dict.fromkeys((f"{whole}-iter_{record.iteration}", whole, tag)):
            try:
                model = find(f"models/{repo}@{name}", found.target)
                there = {entry.path: entry.sha256 for entry in model.entries}
            except HubError:
                continue
            if wanted and all(there.get(path) == sha256 for path, sha256 in wanted.items()):
                return read_snapshot(
                    model.key, model.sha, target=found.target, into=self.folder / "models" / model.sha[:12]
                )
        return None


def rows_release(release: OpenedRelease, folder: Path) -> OpenedRelease | None:
    """The release that holds the rows of a model's run: the data set that its own run published."""
    if release.found.repo_type == "dataset":
        return release
    for data in release.links.get("datasets", []):
        try:
            found = find(f"{DATASETS}{data['repo']}@{data['sha']}", release.found.target)
            opened = open_release(found, folder)
        except LidrError:
            continue
        if opened.run["recipe"] == release.run["recipe"]:
            return opened
    return None


def _read(files: list[Path], most: int) -> pl.DataFrame | None:
    import polars as pl

    table = read_bounded(files, most=most)
    return None if table is None else pl.DataFrame(table)


def _at_most(frame: pl.DataFrame, most: int) -> pl.DataFrame:
    if frame.height > most:
        raise HubError(f"it has {frame.height:,} rows; by its recipe and its record there are at most {most:,}")
    return frame


def _named(release: OpenedRelease, files: list[Path]) -> list[str]:
    return [file.relative_to(release.folder).as_posix() for file in files]


def _link(source: Path, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for path in _model_files(source):
        try:
            os.link(path.resolve(), target / path.name)
        except OSError:
            shutil.copy2(path, target / path.name)


def _model_files(source: Path) -> Iterator[Path]:
    seen = {path for pattern in MODEL_FILES for path in source.glob(pattern) if path.is_file()}
    yield from sorted(path for path in seen if path.name != "README.md")
