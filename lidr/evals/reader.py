"""Open what evaluations left: a folder, or an evaluate step in the store; and lay items side by side.

out/m1                          a folder that `lidr eval run` wrote, or its results.json
run:NAME@VERSION/iter_1/evaluate     a step in the store, whose folder holds `results/`
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from lidr.errors import EvaluationError
from lidr.evals.results import Results, TaskResult, read_results, read_scores
from lidr.references import RunReference, parse_reference
from lidr.store import RECORD_FILE, locate, open_artifact

Values = dict[str, float | None]
"""Item -> its value; None: not scored."""


@dataclass(frozen=True)
class Evaluation:
    """One evaluation, under a name that no other one of the comparison has."""

    name: str
    place: str
    """As the user named it."""
    results: Results
    scores: pa.Table

    def tasks(self, benchmark: str, variant: str) -> dict[str, TaskResult]:
        """The tasks of one form of a benchmark, by language."""
        return {task.language: task for task in self.results.of(benchmark) if task.variant == variant}


def open_evaluations(places: Sequence[str]) -> tuple[Evaluation, ...]:
    """Open several; where two have the same name, the place is added to it.

    Raises:
        EvaluationError: no results there, or damaged ones.
        StoreError: no such run, version or step.
    """
    folders = [results_folder(place) for place in places]
    read = [(read_results(folder), read_scores(folder)) for folder in folders]
    names = [results.name for results, _ in read]
    shown = [name if names.count(name) == 1 else f"{name} ({place})" for name, place in zip(names, places, strict=True)]
    if twice := {name for name in shown if shown.count(name) > 1}:
        raise EvaluationError(f"{', '.join(sorted(twice))} is named twice; name each evaluation once")
    return tuple(Evaluation(name, place, *both) for name, place, both in zip(shown, places, read, strict=True))


def results_folder(place: str) -> Path:
    """The folder that holds results.json: the one that is named, or its `results`.

    Raises:
        EvaluationError: the text names no evaluation.
        StoreError: it is a step's, and damaged.
    """
    folder = _folder(place)
    if folder.suffix == ".json":
        folder = folder.parent
    inner = folder / "results"
    found = inner if not (folder / "results.json").exists() and (inner / "results.json").exists() else folder
    if found.name == "results" and (found.parent / RECORD_FILE).is_file():  # a step's: its record says what it holds
        open_artifact(found.parent).verified("results")
    return found


def _folder(place: str) -> Path:
    if not place.startswith("run:"):
        return Path(place).expanduser()

    try:
        reference = parse_reference(place)
    except ValueError as error:
        raise EvaluationError(str(error)) from None
    if not isinstance(reference, RunReference) or reference.step is None:
        raise EvaluationError(f"{place}: name an evaluate step of the run, as {place}/iter_1/evaluate")
    return locate(reference).folder


def item_values(scores: pa.Table, metric: str) -> dict[str, Values]:
    """Task -> item -> value of one metric, in the order of the table.

    Raises:
        EvaluationError: an item has two values.
    """
    import pyarrow.compute as pc

    rows = scores.filter(pc.equal(scores["metric"], metric)).select(["task", "item", "value"])
    columns = (rows[name].to_pylist() for name in rows.column_names)
    found: dict[str, Values] = {}
    for task, item, value in zip(*columns, strict=True):
        values = found.setdefault(task, {})
        if item in values:
            raise EvaluationError(f'scores.parquet: item "{item}" of {task} has two values of {metric}; evaluate again')
        values[item] = value
    return found


def in_order(items: Iterable[str]) -> tuple[str, ...]:
    """Item ids, once each, numbers by size: the order does not depend on how the rows lie."""
    return tuple(sorted(set(items), key=lambda item: (len(item), item) if item.isdigit() else (1 << 30, item)))


def languages_of(tasks: Iterable[Mapping[str, object]]) -> tuple[str, ...]:
    """Languages, in the order in which they first come up."""
    return tuple(dict.fromkeys(language for languages in tasks for language in languages))
