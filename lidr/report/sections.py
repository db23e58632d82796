"""The sections of a run's report as tables, sentences and pictures; `page` writes them as HTML."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lidr.analysis import (
    COLUMNS,
    Line,
    aside_sentences,
    evaluated,
    gate_sentences,
    gates,
    lines,
    measurements,
    source_of,
)
from lidr.errors import StoreError
from lidr.evals.compare import TextTable
from lidr.hub import without_paths
from lidr.report.funnel import funnel_picture, stages
from lidr.report.scores import OF_CHANGES, changes_table, loss_picture, score_pictures, scores_table
from lidr.report.selection import bound_tables, length_remarks, selection_tables
from lidr.report.summary import TRAINED, Summary, prompts_lost, shown_groups, summary_of
from lidr.rows import NON_DOMINANT
from lidr.store import open_artifact

if TYPE_CHECKING:
    from lidr.report.run_state import RunState
    from lidr.store import Record


@dataclass(frozen=True)
class Section:
    """One section: sentences first, then pictures, tables, and tables that are folded away.

    Args:
        pictures: SVG elements.
    """

    name: str
    title: str
    said: tuple[str, ...] = ()
    pictures: tuple[str, ...] = ()
    tables: tuple[TextTable, ...] = ()
    folded: tuple[TextTable, ...] = ()


def sections(run: RunState) -> tuple[Section, ...]:
    """Everything but headline and pairs, in the order of the page; what the run does not have is left out."""
    summary = summary_of(run.recipe, run.records)
    every = (
        _account(run, summary),
        _scores(run),
        _gates(run),
        _measured(run),
        _policies(run, summary),
        _selection(run),
        _bound(run),
        _steps(run),
    )
    return tuple(section for section in every if section is not None)


def _scores(run: RunState) -> Section | None:
    name, title = "scores", "Evaluation"
    found = evaluated(run.records)
    if not found:
        return None
    every = [table for one in found for table in (scores_table(one), changes_table(one)) if table is not None]
    first = [_of_score(table, one.shown[0].label) for one in found for table in (scores_table(one),)]
    pictures = [picture for _, drawn in score_pictures(run.records) for picture in drawn]
    said = (
        "iter_0 is the policy before training. In brackets: 95% intervals.",
        f"Changes: {OF_CHANGES}.",
    )
    return Section(name, title, said, tuple(pictures), tuple(first), tuple(every))


def _of_score(table: TextTable, label: str) -> TextTable:
    return table._replace(rows=tuple(row for row in table.rows if row[0] == label))


def _gates(run: RunState) -> Section | None:
    name, title = "gates", "Gates"
    found = gates(run.records)
    if not found:
        return None
    said = list(gate_sentences(found))
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


def _account(run: RunState, summary: Summary) -> Section | None:
    name, title = "account", "From slots to pairs"
    lost = prompts_lost(run.recipe, run.records)
    if not summary.account:
        return Section(name, title, lost) if lost else None
    said = "The run starts from pairs."
    if run.recipe.prompts is not None:
        slot = "a prompt, a non-dominant language and a kind of pair"
        slot = "a prompt in one language" if run.recipe.are_pairs_sampled else slot
        said = f"A slot is {slot}; each becomes a pair or is dropped for a reason"
    columns = ("", *(f"iter_{c.iteration} {c.language}" for c in summary.columns))
    seen = [row for row in summary.account if any(row.counts)]
    never = [row.label for row in summary.account if not any(row.counts)]
    rows = tuple((row.label, *(f"{count:,}" for count in row.counts)) for row in seen)
    remark = f"{len(never):,} reasons that were looked for never came up: {', '.join(never)}." if never else ""
    is_sampled = run.recipe.prompts is None or run.recipe.are_pairs_sampled
    heading = "language" if is_sampled else NON_DOMINANT
    account = TextTable(f"By iteration and {heading}", columns, rows, 1, (remark,) if remark else ())
    iterations = dict.fromkeys(column.iteration for column in summary.columns)
    pictures = [funnel_picture(stages(summary, k), f"Iteration {k}") for k in iterations]
    return Section(name, title, (said, *lost), tuple(pictures), tables=tuple(_sets(run)), folded=(account,))


def _sets(run: RunState) -> Iterator[TextTable]:
    """What a run that starts from pairs has read."""
    for record in run.records:
        if "sets" in record.counts:
            sets = record.counts["sets"]
            are_weighted = any("pair_weights" in one for one in sets)
            rows = tuple(
                (
                    without_paths(str(one["name"])),
                    str(one["revision"] or "-")[:12],
                    one["license"] or "unknown",
                    *(f"{one[what]:,}" for what in ("rows", "usable", "taken")),
                    *([_weight_of_pairs(one)] if are_weighted else []),
                )
                for one in sets
            )
            more = ("weight of a pair",) if are_weighted else ()
            columns = ("set", "revision", "licence", "rows", "usable", "taken", *more)
            noted = ("other_switches", "weights_left_out")
            notes = [without_paths(one[name]) for name in noted for one in sets if name in one]
            yield TextTable(f"Sets of pairs, {record.place}", columns, rows, 3, tuple(f"{note}." for note in notes))


def _weight_of_pairs(one: Mapping[str, Any]) -> str:
    """How much each pair of a set counts in training."""
    column = one.get("pair_weights")
    return "all 1" if column is None else f"column {column}"


def _selection(run: RunState) -> Section | None:
    name, title = "selection", "Selection bias"
    are_sampled = run.recipe.are_pairs_sampled
    tables = selection_tables(run.records, are_sampled=are_sampled)
    if not tables:
        return None
    by = "by what was asked and answered" if are_sampled else "by what had to be translated"
    said = (f"Shares of the slots that the pair step lost, {by}.", *length_remarks(run.records))
    return Section(name, title, said, tables=tables)


def _bound(run: RunState) -> Section | None:
    name, title = "bound", "Prompts bound to their language"
    tables = bound_tables(run.records)
    if not tables:
        return None
    total = sum(sum(r.counts["language_bound"]["sent_to"].values()) for r in run.of("pairs") if _has_bound(r))
    return Section(name, title, (f"{total:,} prompts were found by rules.",), tables=tables)


def _has_bound(record: Record) -> bool:
    return "language_bound" in record.counts


_NO_JUDGE = "Without a judge"
_QUESTIONS = {
    "The gap: a judge's marks": ("own_mark",),
    "Is the ranking kept in translation?": ("translated_mark", "mark_difference", "preferred"),
    "Reward accuracy: does chosen beat rejected?": ("reward",),
    "Does a scorer value the better of two answers more?": ("scorer",),
    _NO_JUDGE: ("round_trip_chrf", "length_ratio", "off_target", "off_target_all", "undecided", "logp_margin"),
}


def _measured(run: RunState) -> Section | None:
    name, title = "measured", "The gap before training"
    found = measurements(run.records)
    if not found:
        return None
    tables = [table for record in found for table in _questions(record)]
    without = tuple(table for table in tables if table.title.startswith(_NO_JUDGE))
    said = tuple(dict.fromkeys(source_of(record) for record in found))
    return Section(name, title, said, tables=tuple(t for t in tables if t not in without), folded=without)


def _questions(record: Record) -> Iterator[TextTable]:
    """One table for each question that a measurement answers."""
    tests = [one["test"] for one in record.counts["numbers"]]
    tests += ["reward" for _ in record.counts["reward_accuracy"]]
    tests += ["scorer" for _ in record.counts.get("scorer_accuracy", ())]
    by_test: list[tuple[str, Line]] = list(zip(tests, lines(record), strict=True))
    for question, asked in _QUESTIONS.items():
        if rows := tuple(line for test, line in by_test if test in asked):
            title = f"{question} ({record.place}, {record.counts['prompts']:,} prompts)"
            yield TextTable(title, COLUMNS, rows, 2)


def _policies(run: RunState, summary: Summary) -> Section | None:
    name, title = "policies", "Training"
    rows = tuple(
        (*policy.cells(), became(run, record)) for policy, record in zip(summary.policies, _made(run), strict=True)
    )
    if all(policy.pairs is None for policy in summary.policies):
        return None
    columns = ("policy", "weights", "pairs", "loss", "dpo", "nll", "margin", "accuracy", "")
    groups = TextTable(
        "After training, by language and kind (margin in nats; accuracy: share with margin above 0)",
        ("policy", "language", "kind", "pairs", "margin", "accuracy"),
        shown_groups(run.recipe, summary),
        3,
    )
    drawn = (("loss", "Loss in training"), ("margin", "Reward margin in training, nats"))
    pictures = [picture for what, label in drawn if (picture := loss_picture(run.records, what, label))]
    policies = TextTable(f"Policies ({TRAINED})", columns, rows, 2)
    said = tuple(aside_sentences(run.records))
    return Section(name, title, said, tuple(pictures), (policies, *((groups,) if summary.groups else ())))


def _made(run: RunState) -> list[Record]:
    return [record for record in run.records if record.writes in ("policy", "initial_policy")]


def became(run: RunState, record: Record) -> str:
    """What became of a policy, in words; empty where nothing is to be said."""
    if record.writes == "policy" and record.iteration in run.given_up:
        return "given up by the gate"
    at = 0 if record.writes == "initial_policy" else record.iteration
    said = [word for word, which in (("the run's result", run.result), ("best", run.best)) if which == at]
    return ", ".join(said)


def _steps(run: RunState) -> Section | None:
    """What was made when, and what is missing."""
    rows = [
        (r.place, "made", f"{r.rate.count:,} {r.rate.unit}", f"{r.rate.elapsed_s:,.1f}", r.finished, r.digest[:12])
        for r in run.records
    ]
    rows += [(place, "begun" if place in run.begun else "not made", "", "", "", "") for place in run.missing]
    columns = ("step", "state", "work", "seconds", "finished (UTC)", "artifact digest")
    return Section("steps", "Steps", folded=(TextTable("Every step", columns, tuple(rows), 2),))
