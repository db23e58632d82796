"""Scores and losses of a run for its report: tables with intervals, and the pictures of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from lidr.analysis import MEAN, Evaluated, ShownScore, evaluated
from lidr.evals.compare import TextTable
from lidr.hub import without_paths
from lidr.release.cards import change_cell, interval, score_cell
from lidr.report.pictures import Beside, Point, Series, beside_zero, lines_over

if TYPE_CHECKING:
    from lidr.store import Record


def scores_table(one: Evaluated) -> TextTable:
    """Every score of one benchmark with its 95% interval, iteration beside iteration."""
    rows = tuple(
        (score.label, language, *(score_cell(cell, score) for cell in cells), f"{max(c['n'] for c in cells if c):,}")
        for score, language, cells in one.scores()
    )
    return TextTable(one.title + judged_by(one), ("score", "language", *one.headings, "n"), rows, 2)


def changes_table(one: Evaluated) -> TextTable | None:
    """Paired changes with their 95% intervals; None where nothing was compared."""
    columns = one.changes()
    digits = {score.name: (score.label, score.digits) for score in one.shown}
    keys = [key for name in digits for key in dict.fromkeys(k for c in columns.values() for k in c if k[0] == name)]
    rows = tuple(
        (
            digits[name][0],
            _language(code),
            *(change_cell(c.get((name, code)), digits[name][1]) for c in columns.values()),
        )
        for name, code in keys
    )
    return TextTable("Paired changes", ("score", "language", *columns), rows, 2) if rows else None


def judged_by(one: Evaluated) -> str:
    """Who judged, as a part of a title; empty where nobody did."""
    task = next(iter(one.last.values()))
    judge = task["judge"]
    if not judge:
        return ""
    return f", judged by {without_paths(judge['model'])} ({judge['mode']}) against {task['data']['reference']}"


def score_pictures(records: Iterable[Record]) -> Iterator[tuple[Evaluated, list[str]]]:
    """For each benchmark: its first score over the iterations, and the paired changes of the last one, as SVG."""
    for one in evaluated(records):
        score = one.shown[0]
        if drawn := [picture for picture in (_over_iterations(one, score), _changes(one, score)) if picture]:
            yield one, drawn


def _over_iterations(one: Evaluated, score: ShownScore) -> str | None:
    series = []
    for shown, language, cells in one.scores():
        points = [(k, cell) for k, cell in enumerate(cells) if cell] if shown is score else []
        if points:
            series.append(Series(language, tuple(Point(k, c["value"], *interval(c, score)) for k, c in points)))
    if not series:
        return None
    return lines_over(
        series, title=f"{one.title}: {score.label}", x_label="iteration", x_names=one.headings, span=(0.0, score.scale)
    )


def _changes(one: Evaluated, score: ShownScore) -> str | None:
    columns = one.changes()
    of_last = {k: v for k, v in columns.items() if k.startswith(f"{one.headings[-1]} ")}
    for heading, found in of_last.items():
        rows = [
            Beside(_language(code), d["value"], d["low"], d["high"])
            for (name, code), d in found.items()
            if name == score.name
        ]
        if rows:
            return beside_zero(rows, title=f"{score.label}: {heading}, paired")
    return None


def _language(code: str) -> str:
    return "mean" if code == MEAN else code


def loss_picture(records: Iterable[Record], name: str, title: str) -> str | None:
    """One number of the training history, a line for each policy, as SVG; None where no history holds it.

    Args:
        name: of the number: loss, margin, accuracy, nll, dpo.
    """
    series = []
    for record in records:
        history = record.counts.get("history", ()) if record.writes == "policy" else ()
        values = [step.get(name) for step in history]
        points = tuple(Point(k, v) for k, v in enumerate(values, 1) if v is not None)
        if len(points) > 1:
            series.append(Series(record.place, points))
            looks = record.counts.get("held_out", {}).get("looks", ())
            aside = tuple(Point(look["step"], look[name]) for look in looks if look.get(name) is not None)
            series += [Series(f"{record.place}, held out", aside)] if aside else []
    return lines_over(series, title=title, x_label="step of the optimiser", span=None) if series else None
