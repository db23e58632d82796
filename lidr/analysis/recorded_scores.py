"""The scores in a run's records, by benchmark and iteration. From evaluate steps' records, which hold, as plain data,

counts["tasks"]         one for each benchmark and language: data, judge, generation, scores {value, stderr, n}
counts["differences"]   paired, to an earlier evaluation: {benchmark, group, metric, language, baseline, value, ...}
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lidr.analysis.score_names import SHOWN, ShownScore, title_of
from lidr.intervals import FEW

if TYPE_CHECKING:
    from lidr.store import Record

Task = Mapping[str, Any]
Difference = Mapping[str, Any]
Form = tuple[str, str]
"""Benchmark and form of its prompt."""

MEAN = "all"
"""Stands in a difference's language for the mean over languages."""


@dataclass(frozen=True)
class Evaluated:
    """One form of a benchmark over the iterations of a run that were evaluated with it.

    Args:
        tasks: for each record language -> task.
    """

    form: Form
    records: tuple[Record, ...]
    tasks: tuple[dict[str, Task], ...]

    @property
    def last(self) -> dict[str, Task]:
        """Language -> task, of the last iteration."""
        return self.tasks[-1]

    @property
    def title(self) -> str:
        """What was asked, and how."""
        source = next(iter(self.last.values()))["data"]["source"]
        return title_of(self.form[0], source) + ("" if self.form[1] == "plain" else f", {self.form[1]}")

    @property
    def shown(self) -> tuple[ShownScore, ...]:
        """The benchmark's scores that are shown."""
        return SHOWN[self.form[0]]

    @property
    def few(self) -> int:
        """Below how many items the intervals are those of few items; 0 where all was made by rules that had none."""
        return max(map(few_of, self.records))

    @property
    def headings(self) -> tuple[str, ...]:
        """A name for each iteration."""
        return tuple(f"iter_{record.iteration}" for record in self.records)

    def scores(self) -> Iterator[tuple[ShownScore, str, list[dict[str, Any] | None]]]:
        """Score, language, and for each iteration {value, stderr, n, few}, None where there is no value."""
        for score in self.shown:
            for language in self.last:
                found = [
                    _score(tasks.get(language), score, few_of(record))
                    for record, tasks in zip(self.records, self.tasks, strict=True)
                ]
                if any(found):
                    yield score, language, found

    def changes(self) -> dict[str, dict[tuple[str, str], Difference]]:
        """Heading -> (score, language or MEAN) -> difference; a heading for each iteration that was compared."""
        columns: dict[str, dict[tuple[str, str], Difference]] = {}
        for record, tasks in zip(self.records, self.tasks, strict=True):
            groups = {task["task"].replace(f"_{code}", "", 1) for code, task in tasks.items()}
            for found in record.counts.get("differences", ()):
                if found["benchmark"] == self.form[0] and found.get("group", self.form[0]) in {*groups, self.form[0]}:
                    heading = f"iter_{record.iteration} - {found['baseline']}"
                    columns.setdefault(heading, {})[found["metric"], found["language"]] = found
        return columns


def evaluated(records: Iterable[Record]) -> list[Evaluated]:
    """What was evaluated in a run: benchmarks in the order in which they come up, iterations from the first."""
    having = [record for record in records if record.writes == "scores" and record.counts.get("tasks")]
    having.sort(key=lambda record: record.iteration)
    forms = ((task["benchmark"], task["variant"]) for record in having for task in record.counts["tasks"])
    return [_of_form(having, form) for form in dict.fromkeys(forms) if form[0] in SHOWN]


def _of_form(records: list[Record], form: Form) -> Evaluated:
    tasks = [
        {t["language"]: t for t in record.counts["tasks"] if (t["benchmark"], t["variant"]) == form}
        for record in records
    ]
    kept = [(record, found) for record, found in zip(records, tasks, strict=True) if found]
    return Evaluated(form, tuple(record for record, _ in kept), tuple(found for _, found in kept))


def _score(task: Task | None, score: ShownScore, few: int) -> dict[str, Any] | None:
    if task is None or (score.beside and score.beside not in task["scores"]):
        return None
    found = _by_name(task).get(score.name)
    return {**found, "few": few} if found and found["value"] is not None else None


def _by_name(task: Task) -> Mapping[str, Any]:
    """Scores by the names of today: rules 1 of X-AlpacaEval called the rate without a prior `lc_win_rate`."""
    scores: Mapping[str, Any] = task["scores"]
    if task["benchmark"] != "x_alpacaeval" or task.get("rules", 1) != 1:
        return scores
    return {"lc_win_rate_minimal" if name == "lc_win_rate" else name: score for name, score in scores.items()}


def few_of(record: Record) -> int:
    """Below how many items the intervals of an evaluate step's record are those of few items; rules 1 had none."""
    return FEW if record.identity.get("version", 1) > 1 else 0
