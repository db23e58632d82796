"""The paper's numbers (arXiv 2410.08964), as data, and ours beside them.

The paper prints no errors. They are computed from n: binomial, exact for an accuracy, and for a win rate the most that
n judgements between 0 and 1 can have. A cell that is no multiple of 1/n within its printed digits is impossible.

    paper = read_paper()
    check(results, "mgsm", rows=("M1",))   -> one PaperCheck for each metric and row
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import Field

from lidr.errors import EvaluationError
from lidr.evals.results import JudgeFacts, Results, Score, TaskResult
from lidr.intervals import quantile, wilson
from lidr.recipe import Frozen

ITERATIONS = ("M0", "M1", "M2")
"""As published: the base model, after iteration 1, after iteration 2."""

TABLES = ("x_alpacaeval", "mgsm")
"""Tables that results can be put beside."""


class PaperMetric(Frozen):
    """Unit and printed digits of a column; `counts`: whether a cell is a count over n."""

    unit: Literal["%", "0-1", "0-10"]
    decimals: int
    counts: bool

    @property
    def scale(self) -> float:
        """What all of n make."""
        return {"%": 100.0, "0-1": 1.0, "0-10": 10.0}[self.unit]


class PaperJudge(Frozen):
    """Who judged for the paper, as far as it is known."""

    model: str
    mode: str
    template: str
    template_sha256: tuple[str, ...]
    note: str


class PaperRow(Frozen):
    """One model: metric -> a value for each column of the table."""

    label: str
    values: dict[str, tuple[float, ...]]
    mean: dict[str, float] = Field(default_factory=dict)
    """As printed."""
    errors: dict[str, tuple[float, ...]] = Field(default_factory=dict)
    """As printed, where errors are."""


class PaperTable(Frozen):
    """One table or figure."""

    title: str
    benchmark: str
    source: str
    n: int | None
    """Items in each language, where known."""
    reference: str | None
    """Whose answers a judge compared with."""
    judge: PaperJudge | None
    columns: tuple[str, ...]
    metrics: dict[str, PaperMetric]
    rows: dict[str, PaperRow]


class PaperDecoding(Frozen):
    """How the authors' code decodes when it evaluates."""

    settings: dict[str, Any]
    source: str


class Paper(Frozen):
    """Everything that was published and can be compared with."""

    schema_: Literal["lidr.paper/1"] = Field(alias="schema")
    paper: str
    iterations: str
    decoding: PaperDecoding
    tables: dict[str, PaperTable]


@cache
def read_paper() -> Paper:
    """Read `paper.json` beside this file."""
    text = Path(__file__).with_name("paper.json").read_text(encoding="utf-8")
    return Paper.model_validate(json.loads(text))


class Impossible(NamedTuple):
    """A printed cell that no count over n rounds to, and the two values around it that one does."""

    row: str
    metric: str
    column: str
    value: float
    below: float
    above: float


def impossible_cells(table: PaperTable) -> Iterator[Impossible]:
    """Cells of counts that n rules out; none where n is not known."""
    for name, row in table.rows.items():
        for metric, values in row.values.items():
            form = table.metrics[metric]
            if table.n is None or not form.counts:
                continue
            for column, value in zip(table.columns, values, strict=True):
                exact = value / form.scale * table.n
                reach = (0.5 * 10.0**-form.decimals) / form.scale * table.n
                if abs(exact - round(exact)) > reach + 1e-9:
                    around = (math.floor(exact) / table.n * form.scale, math.ceil(exact) / table.n * form.scale)
                    yield Impossible(name, metric, column, value, *around)


def binomial_error(value: float, n: int, scale: float = 1.0) -> float:
    """Standard error of a share of n; at 0 and 1, where that is 0, the one that Wilson's interval stands for."""
    share = value / scale
    if 0.0 < share < 1.0:
        return scale * math.sqrt(share * (1.0 - share) / n)
    low, high = wilson(share, n)
    return scale * (high - low) / (2 * quantile())


@dataclass(frozen=True)
class Cell:
    """Ours beside the paper's, in one language.

    Args:
        paper_error: None where n is not known.
        combined_error: root of the sum of both squares; None where one is not known.
        inside: whether the difference is within 1.96 combined errors.
        impossible: the paper's cell is one that n makes impossible.
    """

    language: str
    ours: float | None
    our_error: float | None
    n: int
    paper: float
    paper_error: float | None
    difference: float | None
    combined_error: float | None
    inside: bool | None
    impossible: bool


@dataclass(frozen=True)
class PaperCheck:
    """One metric beside one row of the paper.

    Args:
        not_comparable: why the numbers do not measure the same; empty where they do.
        remarks: what else differs or is not known.
        impossible: printed cells of this row that n rules out.
    """

    table: str
    metric: str
    variant: str
    row: str
    label: str
    decimals: int
    cells: tuple[Cell, ...]
    not_comparable: tuple[str, ...]
    remarks: tuple[str, ...]
    impossible: tuple[Impossible, ...]


def check(results: Results, table: str, rows: Sequence[str] = ITERATIONS) -> list[PaperCheck]:
    """Put results beside rows of a table, each form of prompt and each metric for itself.

    Args:
        table: one of TABLES.
        rows: names of the table's rows.

    Raises:
        EvaluationError: no such row, or no result of the benchmark.
    """
    published = read_paper().tables[table]
    for row in rows:
        if row not in published.rows:
            raise EvaluationError(f'--row "{row}": the paper\'s table has {", ".join(published.rows)}')
    tasks = results.of(published.benchmark)
    if not tasks:
        raise EvaluationError(f"{results.name} has no results of {table}: lidr eval run --tasks {table}")
    if not any(task.language in published.columns for task in tasks):
        raise EvaluationError(
            f"{results.name}: the paper's table of {table} has {' '.join(published.columns)}, the results have "
            f"{' '.join(task.language for task in tasks)}"
        )
    variants = dict.fromkeys(task.variant for task in tasks)
    return [
        _check(table, published, [task for task in tasks if task.variant == variant], variant, metric, row)
        for variant in variants
        for row in rows
        for metric in published.rows[row].values
    ]


def _check(
    name: str, table: PaperTable, tasks: Sequence[TaskResult], variant: str, metric: str, row: str
) -> PaperCheck:
    by_language = {task.language: task for task in tasks}
    wrong = tuple(cell for cell in impossible_cells(table) if (cell.row, cell.metric) == (row, metric))
    flagged = {cell.column for cell in wrong}
    form, values = table.metrics[metric], table.rows[row].values[metric]
    cells = [
        _cell(language, by_language[language].scores.get(metric), value, table.n, form, language in flagged)
        for language, value in zip(table.columns, values, strict=True)
        if language in by_language
    ]
    reasons = dict.fromkeys(reason for task in tasks for reason in _differs(table, task, metric))
    missing = [language for language in by_language if language not in table.columns]
    remarks = [*_remarks(name, tasks), *([f"{' '.join(missing)}: not in the paper's table"] if missing else [])]
    label = table.rows[row].label
    return PaperCheck(
        name, metric, variant, row, label, form.decimals, tuple(cells), tuple(reasons), tuple(remarks), wrong
    )


def _cell(language: str, score: Score | None, value: float, n: int | None, form: PaperMetric, impossible: bool) -> Cell:
    error = None if n is None else binomial_error(value, n, form.scale)
    if score is None or score.value is None:
        return Cell(language, None, None, 0, value, error, None, None, None, impossible)
    ours = score.stderr or binomial_error(score.value, score.n, form.scale)
    difference = score.value - value
    combined = None if error is None else math.hypot(ours, error)
    inside = None if combined is None else abs(difference) <= quantile() * combined
    return Cell(language, score.value, ours, score.n, value, error, difference, combined, inside, impossible)


def _differs(table: PaperTable, task: TaskResult, metric: str) -> Iterator[str]:
    """Why a task's number does not measure what the paper's does."""
    if task.variant != "plain":
        yield f'form of prompt "{task.variant}"; the paper asks the bare question ("plain")'
    if table.n is not None and task.data.rows != table.n:
        yield f"other data: {task.data.rows:,} rows; the paper has {table.n:,}"
    elif table.n is not None and task.data.asked != table.n:
        yield f"only {task.data.asked:,} of {table.n:,} items were asked"
    if metric == "published_lc_win_rate":
        yield "which fit gives the paper's length-controlled rate is not published: no rate of lidr stands beside it"
    if table.judge is not None and metric != "off_target":
        if task.data.reference != table.reference:
            yield f"compared with answers of {task.data.reference}; the paper with those of {table.reference}"
        yield from _judges_differ(table.judge, task.judge)


def _judges_differ(paper: PaperJudge, ours: JudgeFacts | None) -> Iterator[str]:
    if ours is None:
        yield "not judged yet: lidr eval judge"
        return
    if ours.model != paper.model:
        yield f"judge {ours.model}; the paper's is {paper.model}"
    if ours.mode != paper.mode:
        yield f"judge mode {ours.mode}; the paper's is {paper.mode}"
    for name, theirs in (("temperature", 1.0), ("max_tokens", 1), ("top_logprobs", 5)):
        if ours.decoding and ours.decoding.get(name) != theirs:
            yield f"judge {name} {ours.decoding.get(name)}; the paper's is {theirs}"
    if ours.template_sha256 not in paper.template_sha256:
        yield f"judge template {ours.template} ({ours.template_sha256[:12]}); the paper's is {paper.template}"


def _remarks(table: str, tasks: Sequence[TaskResult]) -> Iterator[str]:
    """What differs from the authors' code without making another measure, and what nobody published."""
    decoding = read_paper().decoding
    for key, theirs in decoding.settings.items():
        ours = {json.dumps(task.generation.get(key), ensure_ascii=False) for task in tasks}
        if ours != {json.dumps(theirs, ensure_ascii=False)}:
            yield f"{key} is {', '.join(sorted(ours))}; the authors' code has {json.dumps(theirs)}"
    if table == "mgsm":
        yield "how the paper reads numbers and detects languages is not published: a difference may come from there"
    if table == "x_alpacaeval":
        yield "that the published judge made this table is likely, not proven"
