"""The sections of a run's report as tables, sentences and pictures; `page` writes them as HTML."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lidr.analysis import COLUMNS, Line, evaluated, gates, lines, measurements, sentences, source_of
from lidr.errors import StoreError
from lidr.evals.compare import TextTable
from lidr.hub import without_paths
from lidr.report.before_after_tables import OF_CHANGES
from lidr.report.score_sections import changes_table, loss_picture, score_pictures, scores_table
from lidr.report.selection import bound_tables, length_remarks, selection_tables
from lidr.report.summary import Summary, summary_of
from lidr.store import open_artifact

if TYPE_CHECKING:
    from lidr.report.run_state import RunState
    from lidr.store import Record


@dataclass(frozen=True)
class Section:
    """One section: sentences first, then pictures, tables, and tables that are folded away.

    Args:
        empty: what to say where there is nothing of it; then the rest is empty.
        pictures: SVG elements.
    """

    name: str
    title: str
    said: tuple[str, ...] = ()
    pictures: tuple[str, ...] = ()
    tables: tuple[TextTable, ...] = ()
    folded: tuple[TextTable, ...] = ()
    empty: str = ""


def sections(run: RunState) -> tuple[Section, ...]:
    """Everything but the samples, in the order of the page."""
    summary = summary_of(run.recipe, run.records)
    return (
        _scores(run),
        _gates(run),
        _account(run, summary),
        _selection(run),
        _bound(run),
        _measured(run),
        _policies(run, summary),
        _steps(run),
    )


def _scores(run: RunState) -> Section:
    name, title = "scores", "Scores"
    found = evaluated(run.records)
    if not found:
        return Section(name, title, empty="Not evaluated: no score is in this run's records.")
    tables = [table for one in found for table in (scores_table(one), changes_table(one)) if table is not None]
    pictures = [picture for _, drawn in score_pictures(run.records) for picture in drawn]
    said = (
        "iter_0 is the policy before training. In brackets: 95% intervals.",
        f"Changes: {OF_CHANGES}.",
    )
    return Section(name, title, said, tuple(pictures), tuple(tables))


def _gates(run: RunState) -> Section:
    name, title = "gates", "What the gates saw"
    found = gates(run.records)
    if not found:
        return Section(name, title, empty="No gate stands in this run's records.")
    said = [sentence for record in found for sentence in sentences(record)]
    if run.result is not None and run.result != run.iterations:
        said.append(f"The run's policy is that of iter_{run.result}.")
    return Section(name, title, tuple(said), folded=tuple(_findings(run, found)))


def _findings(run: RunState, records: Sequence[Record]) -> Iterator[TextTable]:
    """Every number that a gate looked at, beside its limit."""
    columns = ("signature", "sign", "language", "to", "value [interval]", "n", "fires", "")
    for record in records:
        try:
            rows = open_artifact(run.where(record)).read().to_pylist()
        except StoreError:
            continue
        cells = tuple(
            (
                row["signature"],
                row["sign"],
                row["language"],
                row["against"],
                "-" if row["value"] is None else f"{row['value']:.3f} [{row['low']:.3f}, {row['high']:.3f}]",
                f"{row['n']:,}",
                f"{'above' if row['is_over'] else 'below'} {row['limit']:g}",
                f"fired: {row['act']}" if row["fires"] else "",
            )
            for row in rows
        )
        yield TextTable(f"{record.place}: all {len(rows):,} numbers", columns, cells, 4)


def _account(run: RunState, summary: Summary) -> Section:
    name, title = "account", "Where every slot went"
    if not summary.account:
        return Section(name, title, empty="No pairs are made yet, so there is no account.")
    is_made = run.recipe.prompts is not None
    said = "A slot is a prompt, a non-dominant language and a kind of pair." if is_made else "It starts from pairs."
    columns = ("", *(f"iter_{c.iteration} {c.language}" for c in summary.columns))
    seen = [row for row in summary.account if any(row.counts)]
    never = [row.label for row in summary.account if not any(row.counts)]
    rows = tuple((row.label, *(f"{count:,}" for count in row.counts)) for row in seen)
    remark = f"{len(never):,} reasons that were looked for never came up: {', '.join(never)}." if never else ""
    sets = tuple(_sets(run))
    return Section(name, title, (said,), tables=(TextTable("", columns, rows, 1, (remark,) if remark else ()), *sets))


def _sets(run: RunState) -> Iterator[TextTable]:
    """What a run that starts from pairs has read."""
    for record in run.records:
        if "sets" in record.counts:
            rows = tuple(
                (
                    without_paths(str(one["name"])),
                    str(one["revision"] or "-")[:12],
                    one["license"] or "unknown",
                    *(f"{one[what]:,}" for what in ("rows", "usable", "taken")),
                )
                for one in record.counts["sets"]
            )
            columns = ("set", "revision", "licence", "rows", "usable", "taken")
            yield TextTable(f"Sets of pairs, {record.place}", columns, rows, 3)


def _selection(run: RunState) -> Section:
    name, title = "selection", "What dropping selects"
    tables = selection_tables(run.records)
    if not tables:
        return Section(name, title, empty="No pair step has recorded what it dropped.")
    said = ("Shares of the slots that the pair step lost, by what had to be translated.", *length_remarks(run.records))
    return Section(name, title, said, tables=tables)


def _bound(run: RunState) -> Section:
    name, title = "bound", "Prompts bound to their language"
    tables = bound_tables(run.records)
    if not tables:
        return Section(name, title, empty="The recipe has no detector (pair.translation_type.detector).")
    total = sum(sum(r.counts["language_bound"]["sent_to"].values()) for r in run.of("pairs") if _has_bound(r))
    return Section(name, title, (f"{total:,} prompts were found by rules.",), tables=tables)


def _has_bound(record: Record) -> bool:
    return "language_bound" in record.counts


_QUESTIONS = {
    "The gap: a judge's marks": ("own_mark",),
    "Is the ranking kept in translation?": ("translated_mark", "mark_difference", "preferred"),
    "Reward accuracy: does chosen beat rejected?": ("reward",),
    "Without a judge": ("round_trip_chrf", "length_ratio", "off_target", "logp_margin"),
}


def _measured(run: RunState) -> Section:
    name, title = "measured", "Measured before training"
    found = measurements(run.records)
    if not found:
        return Section(name, title, empty="The recipe has no measure step, or it has not run.")
    tables = [table for record in found for table in _questions(record)]
    return Section(name, title, tuple(dict.fromkeys(source_of(record) for record in found)), tables=tuple(tables))


def _questions(record: Record) -> Iterator[TextTable]:
    """One table for each question that a measurement answers."""
    tests = [*(one["test"] for one in record.counts["numbers"]), *("reward" for _ in record.counts["reward_accuracy"])]
    by_test: list[tuple[str, Line]] = list(zip(tests, lines(record), strict=True))
    for question, asked in _QUESTIONS.items():
        if rows := tuple(line for test, line in by_test if test in asked):
            title = f"{question} ({record.place}, {record.counts['prompts']:,} prompts)"
            yield TextTable(title, COLUMNS, rows, 2)


def _policies(run: RunState, summary: Summary) -> Section:
    name, title = "policies", "Policies"
    rows = tuple(
        (*policy.cells(), became(run, record)) for policy, record in zip(summary.policies, _made(run), strict=True)
    )
    columns = ("policy", "weights", "pairs", "loss", "dpo", "nll", "margin", "accuracy", "")
    groups = TextTable(
        "After training, by language and kind (margin in nats; accuracy: share with margin above 0)",
        ("policy", "language", "kind", "pairs", "margin", "accuracy"),
        summary.groups,
        3,
    )
    drawn = (("loss", "Loss in training"), ("margin", "Reward margin in training, nats"))
    pictures = [picture for what, label in drawn if (picture := loss_picture(run.records, what, label))]
    policies = TextTable("Numbers of the last step of the optimiser", columns, rows, 2)
    return Section(name, title, (), tuple(pictures), (policies, *((groups,) if summary.groups else ())))


def _made(run: RunState) -> list[Record]:
    return [record for record in run.records if record.writes in ("policy", "initial_policy")]


def became(run: RunState, record: Record) -> str:
    """What became of a policy, in words; empty where nothing is to be said."""
    if record.writes == "policy" and record.iteration in run.given_up:
        return "given up by the gate"
    at = 0 if record.writes == "initial_policy" else record.iteration
    said = [word for word, which in (("the run's result", run.result), ("best", run.best)) if which == at]
    return ", ".join(said)


def _steps(run: RunState) -> Section:
    """What was made when, and what is missing."""
    rows = [
        (r.place, "made", f"{r.rate.count:,} {r.rate.unit}", f"{r.rate.elapsed_s:,.1f}", r.finished, r.digest[:12])
        for r in run.records
    ]
    rows += [(place, "begun" if place in run.begun else "not made", "", "", "", "") for place in run.missing]
    columns = ("step", "state", "work", "seconds", "finished (UTC)", "digest")
    return Section("steps", "Steps", folded=(TextTable("Every step", columns, tuple(rows), 2),))
