"""A run's report in a few lines of text, and as plain data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from lidr.analysis import evaluated, gates, measurements
from lidr.evals.compare import TextTable
from lidr.report.finding_lines import gate_lines
from lidr.report.html import lead, state_sentences
from lidr.report.record_reading import of_records
from lidr.report.samples import sample_pairs
from lidr.report.scores import scores_table
from lidr.report.sections import became
from lidr.report.selection import selection_lines
from lidr.report.summary import Summary, prompts_lost, summary_of

if TYPE_CHECKING:
    from lidr.recipe import Recipe
    from lidr.report.run_state import RunState
    from lidr.store import Record

_MOST_REASONS = 4


@of_records
def head_lines(run: RunState) -> tuple[str, ...]:
    """What it is, how far it is, and where its slots went."""
    return (
        f"{run.recipe.name} {run.recipe.version}: {lead(run)}",
        *state_sentences(run),
        *kept_lines(run.recipe, run.records),
        *selection_lines(run.records),
    )


def kept_lines(recipe: Recipe, records: Sequence[Record]) -> tuple[str, ...]:
    """How many pairs are kept and why others are gone, and what was lost of prompts that have no pairs yet.

    Args:
        recipe: whose run it is.
        records: in the order in which the steps run; of a run that is not finished, those that it has.
    """
    return (*_account_lines(summary_of(recipe, records)), *prompts_lost(recipe, records))


def _account_lines(summary: Summary) -> Iterator[str]:
    if not summary.account:
        return
    lost = sorted(((sum(row.counts), row.label) for row in summary.gone), reverse=True)
    shown = ", ".join(f"{label} {count:,}" for count, label in lost[:_MOST_REASONS])
    others = len(lost) - _MOST_REASONS
    more = f", {others} other reason{'' if others == 1 else 's'}" if others > 0 else ""
    yield f"Pairs: {summary.kept_said} are kept" + (f"; gone: {shown}{more}" if lost else "")


@of_records
def score_tables(run: RunState) -> tuple[TextTable, ...]:
    """For each benchmark its first score, iteration beside iteration."""
    found = []
    for one in evaluated(run.records):
        table = scores_table(one)
        label = one.shown[0].label
        rows = tuple(row[1:] for row in table.rows if row[0] == label)
        found.append(TextTable(f"{table.title}: {label} [95% interval]", table.columns[1:], rows))
    return tuple(found)


@of_records
def guard_lines(run: RunState) -> tuple[str, ...]:
    """What the gates found."""
    return gate_lines(run.records)


@of_records
def as_json(run: RunState) -> dict[str, Any]:
    """Everything of the page as plain data, numbers as the records have them."""
    made = [record for record in run.records if record.writes in ("policy", "initial_policy")]
    return {
        "recipe": run.recipe.name,
        "version": run.recipe.version,
        "state": run.state,
        "missing": list(run.missing),
        "begun": list(run.begun),
        "iterations": run.iterations,
        "ended": run.outcome.why,
        "is_negative": run.is_negative,
        "result": run.result,
        "best": run.best,
        "differs": list(run.differs),
        **summary_of(run.recipe, run.records).as_json(),
        "became": {record.place: became(run, record) for record in made},
        "scores": {
            record.place: {name: record.counts.get(name, []) for name in ("tasks", "differences")}
            for record in run.of("scores")
        },
        "measured": {record.place: record.counts for record in measurements(run.records)},
        "gates": {record.place: record.counts for record in gates(run.records)},
        **{name: _of_places(run, name) for name in ("selection", "language_bound", "sets")},
        "samples": sample_pairs(run),
    }


def _of_places(run: RunState, name: str) -> dict[str, Any]:
    return {record.place: record.counts[name] for record in run.records if name in record.counts}
