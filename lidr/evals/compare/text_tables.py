"""A comparison as tables of text."""

from __future__ import annotations

from collections.abc import Iterator

from lidr.evals.compare.paired_comparison import Comparison, Section
from lidr.evals.compare.text_table import TextTable
from lidr.evals.statistics import ALL, GAP_ERRORS, Estimate
from lidr.intervals import FEW

_LONGEST = 30  # characters of a column's heading


def tables(comparison: Comparison) -> Iterator[TextTable]:
    """For each section the scores with their differences, and the gaps where there is a dominant language."""
    for section in comparison.sections:
        yield from tables_of(section)


def tables_of(section: Section) -> Iterator[TextTable]:
    """The same of one section."""
    yield _scores(section)
    if has_gaps(section):
        yield _gaps(section)


def has_gaps(section: Section) -> bool:
    """Whether its gaps are shown: there is a dominant language, and more is better."""
    return bool(section.paired.gaps) and not section.metric.is_error


def legend(comparison: Comparison) -> tuple[str, ...]:
    """What the signs mean."""
    return (
        "± one standard error",
        f"[95% interval], whole items resampled {comparison.resamples:,} times in all languages and models at once",
        f"of fewer than {FEW} items the interval is Student's, as if there were two more, with the lowest and the "
        "highest possible score; where a score has no bounds, as a length, it is Student's alone",
        "* the interval of the difference does not contain 0",
    )


def heading(section: Section, of: str = "") -> str:
    """Benchmark, form of the prompt, metric and judge; `of` the metric, where that is no score."""
    form = "" if section.variant == "plain" else f" ({section.variant})"
    judge = f", judged by {section.judge}" if section.judge else ""
    return f"{section.title}{form}: {of}{section.metric.label}{judge}"


def _scores(section: Section) -> TextTable:
    digits, numbers = section.metric.digits, section.paired
    others = [name for name in section.models if name != section.baseline]
    columns = ["language", "items", section.baseline]
    for name in others:
        both = f"{name} - {section.baseline}"
        columns += [name, both if len(both) <= _LONGEST else "difference"]
    where = [*section.languages, *([ALL] if len(section.languages) > 1 else [])]
    rows = []
    for language in where:
        count = max(section.items.values()) if language == ALL else section.items[language]
        row = [_named(language, "mean"), f"{count:,}", score_cell(numbers.scores[section.baseline][language], digits)]
        for name in others:
            row.append(score_cell(numbers.scores[name][language], digits))
            row.append(difference_cell(numbers.differences[name][language], digits))
        rows.append(tuple(row))
    return TextTable(heading(section), tuple(columns), tuple(rows), 1, tuple(_unscored(section)))


def _unscored(section: Section) -> Iterator[str]:
    """Items without a value are no zeros; how many there are is said."""
    for name in section.models:
        for language, items in section.items.items():
            missing = items - section.paired.scores[name][language].n
            if missing:
                yield f"{name}, {language}: {missing:,} of {items:,} items not scored"


def _gaps(section: Section) -> TextTable:
    digits, numbers = section.metric.digits, section.paired
    columns = [f"{section.dominant} minus", section.baseline]
    others = [name for name in section.models if name != section.baseline]
    for name in others:
        columns += [name, "closed"]
    rows, remarks, bare = [], [], []
    for language in numbers.gaps[section.baseline]:
        if language == ALL and len(section.languages) < 3:
            continue
        row = [_named(language, "mean of the others"), gap_cell(numbers.gaps[section.baseline][language], digits)]
        for name in others:
            row += [
                gap_cell(numbers.gaps[name][language], digits),
                closed_cell(numbers.closed[name][language]),
            ]
        rows.append(tuple(row))
        if not numbers.gaps[section.baseline][language].excludes_zero:
            remarks.append(_named(language, "mean of the others"))
        elif any(numbers.closed[name][language].low is None for name in others):
            bare.append(_named(language, "mean of the others"))
    said = [f"{', '.join(remarks)}: no share, {section.baseline}'s gap cannot be told from 0"] if remarks else []
    if bare:
        said.append(
            f"{', '.join(bare)}: no interval of the share, it would not hold: {section.baseline}'s gap is less than "
            f"{GAP_ERRORS:g} standard errors from 0, or rests on fewer than {FEW} items"
        )
    said += [note for name in others if (note := dominant_loss(section, name))]
    return TextTable(heading(section, "language gap in "), tuple(columns), tuple(rows), 1, tuple(said))


def dominant_loss(section: Section, name: str) -> str:
    """That the dominant language got worse, which closes gaps too; empty where it did not."""
    if section.dominant is None:
        return ""
    change = section.paired.differences[name][section.dominant]
    if change.value is None or change.value >= 0:
        return ""
    said = difference_cell(change, section.metric.digits).strip()
    return f"{name}: {section.dominant} itself changed by {said}, and what it loses counts as closed gap too"


def _named(language: str, everything: str) -> str:
    return everything if language == ALL else language


def score_cell(e: Estimate, digits: int) -> str:
    """Value and standard error: `0.612 ± 0.031`."""
    if e.value is None:
        return "-"
    return f"{e.value:.{digits}f}" + ("" if e.stderr is None else f" ± {e.stderr:.{digits}f}")


def difference_cell(e: Estimate, digits: int) -> str:
    """Difference, interval, and a star where the interval lies on one side of 0: `+0.012 [-0.020, +0.044]`."""
    if e.value is None:
        return "-  "
    inside = "" if e.low is None else f" [{e.low:+.{digits}f}, {e.high:+.{digits}f}]"
    return f"{e.value:+.{digits}f}{inside}" + (" *" if e.excludes_zero else "  ")


def gap_cell(e: Estimate, digits: int) -> str:
    """Gap and interval."""
    if e.value is None:
        return "-"
    inside = "" if e.low is None else f" [{e.low:.{digits}f}, {e.high:.{digits}f}]"
    return f"{e.value:.{digits}f}{inside}"


def closed_cell(e: Estimate) -> str:
    """Share of the gap that is gone, in per cent: `33% [12, 50]`."""
    if e.value is None:
        return "-"
    inside = "" if e.low is None else f" [{100 * e.low:.0f}, {100 * (e.high or 0):.0f}]"
    return f"{100 * e.value:.0f}%{inside}"
