"""What a release holds so that others can make it again, beside its rows and records.

lidr/files/<12 hex>-<name>         small files that the recipe names and that steps read: lists of ids, canned answers
lidr/rows/iter_K/STEP/*.parquet    the numbers of steps that write neither texts nor weights: scores, measures, verdicts
lidr/outputs/iter_K/STEP/*.parquet the answers of evaluations, and what it takes to score them again: evaluation_outputs
run.json                           for each step the digests of its tables; where a file went; what belongs together

A file is brought along only where a step's identity holds its SHA-256: it is what was read, and nothing else goes out.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from lidr.hub import clean
from lidr.recipe import Recipe
from lidr.release.evaluation_outputs import outputs_json, write_outputs
from lidr.release.finished import Finished
from lidr.resources import resolve_source
from lidr.rows import THOUGHT_COLUMNS
from lidr.store import Artifact, file_sha256, row_digest, table_batches

LARGEST_FILE = 1 << 20  # bytes
NUMBERS = ("scores", "measures", "verdicts", "answer_scores")
"""Rows without texts; all others are configurations of a data set, or stay where they are."""

ROWS_PER_BATCH = 10_000


@dataclass(frozen=True)
class Links:
    """What belongs to a release, by name: how `lidr lineage` gets from one repository to the next.

    Args:
        repo: where it goes.
        datasets: (repository, commit) of the pairs that a policy was trained on, as published.
        siblings: role -> repository of what the same run publishes: pairs, policy.
    """

    repo: str
    datasets: tuple[tuple[str, str], ...] = ()
    siblings: Mapping[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """As it stands in run.json."""
        datasets = [{"repo": repo, "sha": sha} for repo, sha in self.datasets]
        return {"repo": self.repo, "datasets": datasets, "siblings": dict(sorted(self.siblings.items()))}


@dataclass(frozen=True)
class SideFile:
    """A file that the recipe names: the setting that does, and the file here."""

    setting: str
    file: Path
    sha256: str

    @property
    def path(self) -> str:
        """Where it stands in the release."""
        return f"lidr/files/{self.sha256[:12]}-{self.file.name}"


def side_files(run: Finished) -> list[SideFile]:
    """The small files that settings name and steps have read."""
    wanted = {found for record in run.records for found in _texts(record.identity.get("outside", {}))}
    data = run.recipe.model_dump(mode="json", include={"chain", "policy"})
    named = [*_settings({step["name"]: step["config"] for step in data["chain"]}, "chain")]
    named += _settings(data["policy"].get("chat_template"), "policy.chat_template")
    if run.recipe.runtime.answers:
        named.append(("runtime.answers", run.recipe.runtime.answers))
    found = []
    for setting, text in named:
        path = resolve_source(text, run.recipe.folder)
        if path is not None and path.is_file() and path.stat().st_size <= LARGEST_FILE:
            digest = file_sha256(path)
            found += [SideFile(setting, path, digest)] if digest in wanted else []
    return found


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for child in value.values():
            yield from _texts(child)
    elif isinstance(value, list | tuple):
        for child in value:
            yield from _texts(child)


def _settings(value: Any, path: str) -> Iterator[tuple[str, str]]:
    """Dotted name and value of every setting that may be a file's name."""
    if isinstance(value, str) and 0 < len(value) < 500 and "\n" not in value and "\0" not in value:
        yield path, value
    elif isinstance(value, Mapping):
        for key, child in value.items():
            yield from _settings(child, f"{path}.{key}")


def write_reproduction_files(run: Finished, folder: Path) -> None:
    """Write `lidr/files`, `lidr/rows` and `lidr/outputs` of a release."""
    for side in side_files(run):
        _bring(side.file, folder / side.path)
    for artifact in run.artifacts:
        if artifact.record.writes in NUMBERS:
            for table in artifact.tables:
                _bring(table, folder / "lidr/rows" / artifact.record.place / table.name)
    write_outputs(run, folder)


def _bring(path: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(path.resolve(), target)
    except FileExistsError:
        return  # two settings name one file
    except OSError:
        shutil.copy2(path, target)


def reproduction_json(run: Finished, links: Links) -> dict[str, Any]:
    """What run.json says of it: `files`, `rows` by place, `release`."""
    sides = side_files(run)
    rows = {artifact.record.place: rows_of(artifact) for artifact in run.artifacts if artifact.has_tables}
    for place, outputs in outputs_json(run):
        rows[place] = {**rows.get(place, {}), "outputs": outputs}
    return {
        "files": [{"setting": side.setting, "path": side.path, "sha256": side.sha256} for side in sides],
        "rows": rows,
        "written": written(run.recipe),
        "provenance": {path: entry.model_dump(mode="json") for path, entry in run.recipe.provenance.items()},
        "outcome": None if run.outcome is None else asdict(run.outcome),
        "release": links.as_json(),
    }


def written(recipe: Recipe) -> dict[str, Any]:
    """The recipe with what was written down and nothing else: a card tells that from lidr's defaults."""
    data = recipe.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude={"runtime", "chain"})
    data["chain"] = [
        {step.name: step.config.model_dump(mode="json", by_alias=True, exclude_unset=True)} for step in recipe.chain
    ]
    cleaned: dict[str, Any] = clean(data)
    return cleaned


def rows_of(artifact: Artifact) -> dict[str, dict[str, Any]]:
    """Number and digest of an artifact's rows and of its dropped rows, whatever wrote the files."""
    return {
        part: _rows_of(files, tuple(entry.sha256 for entry in artifact.named(part)))
        for part in ("data", "dropped")
        if (files := artifact.tables_of(part))
    }


@lru_cache(maxsize=512)  # the releases of a run's iterations hold the same tables
def _rows_of(files: tuple[Path, ...], digests: tuple[str, ...]) -> dict[str, Any]:
    """Number and digest of the rows of verified files, which are those of the digests.

    Thoughts stand beside rows and are no part of them: a release may leave them out.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    def columns(file: Path) -> list[str]:
        return [name for name in pq.read_schema(file).names if name not in THOUGHT_COLUMNS]

    batches = (batch for file in files for batch in table_batches(file, ROWS_PER_BATCH, columns(file)))
    rows = sum(int(pq.read_metadata(file).num_rows) for file in files)
    return {"rows": rows, "digest": row_digest(pa.Table.from_batches([batch]) for batch in batches)}
