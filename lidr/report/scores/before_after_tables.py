"""What a run's policies scored, iteration beside iteration, and what changed: tables for the end of `lidr run`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from lidr.analysis import MEAN, Evaluated, evaluated
from lidr.evals import Score
from lidr.evals.compare import TextTable
from lidr.release.cards import change_cell

if TYPE_CHECKING:
    from lidr.store import Record

OF_CHANGES = (
    "[95% interval] of the paired difference, whole items resampled in all languages together; * does not contain 0"
)
LEGEND = f"± one standard error; {OF_CHANGES}"


def before_after(records: Iterable[Record]) -> tuple[TextTable, ...]:
    """One table for each benchmark that was evaluated; none where nothing was.

    Args:
        records: of a run, in any order.
    """
    return tuple(_table(one) for one in evaluated(records))


def _table(one: Evaluated) -> TextTable:
    changes = one.changes()
    rows = []
    for score, language, cells in one.scores():
        shown = (_value(cell, score.digits) for cell in cells)
        changed = (change_cell(column.get((score.name, language)), score.digits) for column in changes.values())
        n = max(cell["n"] for cell in cells if cell)
        rows.append((score.label, language, *shown, *map(_aligned, changed), f"{n:,}"))
        if language == _last_of(one, score.name) and any((score.name, MEAN) in column for column in changes.values()):
            means = [column.get((score.name, MEAN)) for column in changes.values()]
            n = max(mean["n"] for mean in means if mean)
            empty = ("" for _ in cells)
            shown_means = (_aligned(change_cell(mean, score.digits)) for mean in means)
            rows.append((score.label, "mean", *empty, *shown_means, f"{n:,}"))
    task = next(iter(one.last.values()))
    judge = task["judge"]
    by = f", judged by {judge['model']} ({judge['mode']}) against {task['data']['reference']}" if judge else ""
    return TextTable(one.title + by, ("score", "language", *one.headings, *changes, "n"), tuple(rows), 2)


def _last_of(one: Evaluated, name: str) -> str:
    """The last language that has a score."""
    return [language for score, language, _ in one.scores() if score.name == name][-1]


def _value(cell: Mapping[str, Any] | None, digits: int) -> str:
    if cell is None:
        return "-"
    return Score(value=cell["value"], stderr=cell["stderr"], n=cell["n"]).text(digits=digits)


def _aligned(cell: str) -> str:
    """Flush right whether or not there is a star."""
    return cell if cell.endswith("*") else f"{cell}  "
