"""The questions of benchmarks and of other test sets, for `clean`: what must not be trained on."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from lidr.errors import EvaluationError, PlanError
from lidr.evals import RowBenchmark, load_rows
from lidr.hub import DATASETS, read_snapshot
from lidr.languages import LANGUAGES
from lidr.references import HubReference, parse_reference
from lidr.resources import resolve_source
from lidr.steps.step_kind import Surroundings, Unresolved
from lidr.tables import TABLE_FILES, file_batches, table_files
from lidr.transforms import Questions

BENCHMARKS: dict[str, RowBenchmark] = {"mgsm": "mgsm", "x_alpacaeval": "x_alpacaeval"}
_TEXTS = {"mgsm": "question", "x_alpacaeval": "instruction"}
_COLUMNS = ("question", "query", "instruction", "prompt", "problem", "text")
"""Where other sets have their questions; the first that there is."""

_ROWS_PER_BATCH = 10_000


def questions_of(around: Surroundings, against: Sequence[str]) -> list[Questions]:
    """The questions of every set, by language.

    Raises:
        Unresolved: data that are not here.
        PlanError: a set without questions.
    """
    return [found for name in against for found in _questions(around, name)]


def identity_of_questions(around: Surroundings, against: Sequence[str]) -> dict[str, str]:
    """SHA-256 over the questions of each set and language."""
    return {f"{q.benchmark}/{q.language}": _sha256(q.texts) for q in questions_of(around, against)}


def _sha256(texts: Sequence[str]) -> str:
    return hashlib.sha256(json.dumps(list(texts), ensure_ascii=False).encode()).hexdigest()


def hub_of(name: str) -> HubReference | None:
    """A set on the Hub, named as the lock names it; None for a benchmark, a folder, a file."""
    reference = None if name in BENCHMARKS else parse_reference(name)
    if not isinstance(reference, HubReference):
        return None
    return HubReference(f"{DATASETS}{reference.repo}", reference.revision)


def _questions(around: Surroundings, name: str) -> Iterator[Questions]:
    if name in BENCHMARKS:
        yield from _of_benchmark(around, name)
        return
    found, short = False, name if "@" in name or hub_of(name) else Path(name).name
    for path in _files(around, name):
        items = list(_texts(path))
        found = found or bool(items)
        language = path.stem if path.stem in LANGUAGES else around.recipe.languages.dominant
        yield Questions(short, language, [str(n) for n in range(len(items))], items)
    if not found:
        raise PlanError(f"clean.decontaminate.against: {name} has no questions: a column {', '.join(_COLUMNS)} is read")


def _of_benchmark(around: Surroundings, name: str) -> Iterator[Questions]:
    """Every language of the recipe that the benchmark has."""
    if not os.environ.get("LIDR_DATA"):
        raise Unresolved(
            f"clean.decontaminate.against: {name}: set LIDR_DATA to the folder that holds it, or give --data"
        )
    found, why = False, ""
    for language in around.recipe.languages.all:
        try:
            rows = load_rows(BENCHMARKS[name], language).rows
        except EvaluationError as error:  # a language that it does not have
            why = str(error)
            continue
        found = True
        yield Questions(name, language, [row["item"] for row in rows], [row[_TEXTS[name]] for row in rows])
    if not found:
        raise PlanError(f"clean.decontaminate.against: {name} is in none of the recipe's languages: {why}")


def _files(around: Surroundings, name: str) -> list[Path]:
    hub = hub_of(name)
    path = resolve_source(name, around.recipe_folder) if hub is None else _snapshot(around, hub)
    if path is None or not path.exists():
        raise PlanError(f"clean.decontaminate.against: no folder or file {name}")
    if path.is_file():
        return [path] if path.name.lower().endswith(TABLE_FILES) else []
    return [path / name for name in table_files(p.relative_to(path).as_posix() for p in path.rglob("*") if p.is_file())]


def _snapshot(around: Surroundings, hub: HubReference) -> Path:
    """A set on the Hub, at the commit and with the content of the lock."""
    commit = around.commit_of(hub)
    return read_snapshot(hub.repo, commit, digest=around.digest_of(hub.repo, commit))


def keep_questions(around: Surroundings, sets: Sequence[HubReference]) -> None:
    """Write to the lock what stands at the commits of sets that were read, where it does not say it yet."""
    for hub in sets:
        around.keep_content(hub.repo, around.commit_of(hub))


def _texts(path: Path) -> Iterator[str]:
    column: str | None = None
    for batch in file_batches(path, _ROWS_PER_BATCH, None):
        column = column or next((name for name in _COLUMNS if name in batch.schema.names), None)
        values: list[Any] = batch[column].to_pylist() if column else []
        yield from (value for value in values if isinstance(value, str) and value.strip())
