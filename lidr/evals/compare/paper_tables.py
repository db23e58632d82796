"""A comparison as tables for a paper: the rows of `text_tables` as Markdown or LaTeX, their numbers as CSV."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence

from lidr.evals.compare.paired_comparison import Comparison, Section
from lidr.evals.compare.text_table import TextTable
from lidr.evals.compare.text_tables import has_gaps, legend, tables, tables_of
from lidr.evals.statistics import Estimate
from lidr.intervals import FEW

COLUMNS = ("benchmark", "variant", "metric", "what", "model", "baseline", "language", *Estimate.__dataclass_fields__)


def as_markdown(comparison: Comparison) -> str:
    """One table below each other, with its title and remarks; what the signs mean stands below all."""
    lines: list[str] = []
    for table in tables(comparison):
        sides = [":--" if i < table.left else "--:" for i in range(len(table.columns))]
        lines += [f"**{_markdown(table.title)}**", ""]
        lines += [f"| {' | '.join(map(_markdown, cells))} |" for cells in (table.columns, sides, *table.rows)]
        lines += ["", *(f"- {_markdown(remark)}" for remark in table.remarks), *([""] if table.remarks else [])]
    lines += [f"- {_markdown(line)}" for line in (*legend(comparison), *_notes(comparison))]
    return "\n".join(lines) + "\n"


def as_latex(comparison: Comparison) -> str:
    """Floating tables for the package booktabs. A caption says what was asked, of how many items in which languages,
    and what the signs of its table mean; notes on the whole comparison stand in comments.
    """
    needs = r"needs \usepackage{booktabs}; wider than a page: \resizebox{\textwidth}{!}{...} around tabular (graphicx)"
    lines = [f"% {line}" for line in (needs, *_notes(comparison))]
    for section in comparison.sections:
        for table in tables_of(section):
            lines += ["", *_latex_table(table, (_asked(section), *_signs(table, section, legend(comparison))))]
    return "\n".join(lines) + "\n"


def as_csv(comparison: Comparison) -> str:
    """One row for each number of the tables, unrounded: COLUMNS, where `what` is score, difference, gap or closed.

    A difference is `model` minus `baseline`; a gap is the dominant language minus `language`; a share closed is 0-1 and
    beyond. Empty: not defined.
    """
    said = io.StringIO()
    writer = csv.writer(said, lineterminator="\n")
    writer.writerow(COLUMNS)
    for section in comparison.sections:
        writer.writerows(_numbers(section))
    return said.getvalue()


FORMS: Mapping[str, Callable[[Comparison], str]] = {"md": as_markdown, "latex": as_latex, "csv": as_csv}


def _notes(comparison: Comparison) -> Iterator[str]:
    return (f"note: {' '.join(note.split())}" for note in comparison.notes)


def _numbers(section: Section) -> Iterator[Sequence[object]]:
    found = {"score": section.paired.scores, "difference": section.paired.differences}
    if has_gaps(section):
        found |= {"gap": section.paired.gaps, "closed": section.paired.closed}
    for what, table in found.items():
        for model, row in table.items():
            for language, e in row.items():
                where = (section.benchmark, section.variant, section.metric.name, what, model, section.baseline)
                yield (*where, language, e.value, e.stderr, e.low, e.high, e.n)


def _markdown(text: str) -> str:
    """Without what Markdown would take for its own."""
    return re.sub(r"([\\|*_`<])", r"\\\1", " ".join(text.split()))


def _asked(section: Section) -> str:
    """How many items in which languages."""
    counts = [section.items[language] for language in section.languages]
    if len(set(counts)) > 1:
        each = (f"{count:,} {language}" for count, language in zip(counts, section.languages, strict=True))
        return f"Items: {', '.join(each)}"
    where = ", ".join(section.languages)
    return f"{counts[0]:,} items in {f'each language ({where})' if len(counts) > 1 else where}"


def _signs(table: TextTable, section: Section, legend: Sequence[str]) -> Iterator[str]:
    """What is needed of the legend: the signs that stand in the table, and how few items are treated."""
    cells = "".join(cell for row in table.rows for cell in row)
    for line in legend:
        if line[0] in cells if line[0] in "±[*" else min(section.items.values()) < FEW:
            yield line[0].upper() + line[1:]


def _latex_table(table: TextTable, below: Sequence[str]) -> Iterator[str]:
    sides = "".join("l" if i < table.left else "r" for i in range(len(table.columns)))
    rows = [f"{' & '.join(map(_latex, cells))} \\\\" for cells in (table.columns, *table.rows)]
    yield from (
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{'. '.join(map(_latex, (table.title, *below, *table.remarks)))}.}}",
    )
    yield from (rf"\begin{{tabular}}{{{sides}}}", r"\toprule", rows[0], r"\midrule", *rows[1:], r"\bottomrule")
    yield from (r"\end{tabular}", r"\end{table}")


_SPECIAL = {
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$", "*": "$^{*}$"},
    **{sign: f"${sign}$" for sign in "<>|"},  # other signs in the font encoding that LaTeX begins with
}


def _latex(text: str) -> str:
    """Escaped; signs of numbers as LaTeX writes them. A cell that begins with a bracket ends no row's length."""
    escaped = "".join(_SPECIAL.get(sign, sign) for sign in " ".join(text.split()))
    minus = re.sub(r"(?<!\S)-(?= )|(?<![\w.])-(?=\d)", "$-$", escaped)
    return f"{{}}{minus}" if minus.startswith("[") else minus
