"""Scores of an evaluation as text: one table a benchmark, every number with its standard error."""

from __future__ import annotations

from collections.abc import Sequence

from lidr.analysis import title_of
from lidr.evals import Results, Score, TaskResult

_COLUMNS: dict[str, tuple[tuple[str, str, int], ...]] = {
    "mgsm": (
        ("acc", "accuracy", 3),
        ("off_target", "off-target", 3),
        ("parsed", "read", 3),
        ("acc_flexible", "lm-eval's", 3),
    ),
    "x_alpacaeval": (
        ("win_rate", "win rate", 1),
        ("lc_win_rate", "length-controlled", 1),
        ("discrete_win_rate", "discrete", 1),
        ("off_target", "off-target %", 1),
        ("avg_length", "length", 0),
    ),
}
_COLUMNS["mt_bench"] = (
    ("score", "mark", 2),
    ("score_turn_1", "turn 1", 2),
    ("score_turn_2", "turn 2", 2),
    ("off_target", "off-target %", 1),
)
_UNITS = {"mgsm": ", share of right answers, 0-1", "x_alpacaeval": ", % of comparisons won", "mt_bench": ", marks 0-10"}


def scores_text(results: Results) -> str:
    """The scores of one checkpoint.

    Example:
        MGSM, share of right answers, 0-1
        language  accuracy       off-target     read           lm-eval's        n
        de        0.468 ± 0.032  0.016 ± 0.008  0.996 ± 0.004  0.452 ± 0.031  250
    """
    blocks = []
    for benchmark, columns in _COLUMNS.items():
        if tasks := results.of(benchmark):
            blocks.append(_block(benchmark, tasks, columns))
    if tax := results.of("tax"):
        blocks.append(_tax_block(tax))
    return "\n\n".join([f"{results.name}: {results.model.reference}", *blocks])


def _block(benchmark: str, tasks: Sequence[TaskResult], columns: Sequence[tuple[str, str, int]]) -> str:
    is_judged = tasks[0].judge is not None
    heads = ["language", *(head for _, head, _ in columns), "n"]
    rows = [
        [
            task.language,
            *(task.scores.get(name, Score(value=None, n=0)).text(digits=digits) for name, _, digits in columns),
            str(task.data.asked),
        ]
        for task in tasks
    ]
    if is_judged and benchmark == "x_alpacaeval":
        heads += ["judged", "ties", "errors"]
        for row, task in zip(rows, tasks, strict=True):
            row += [_count(task, name) for name in ("n_judged", "n_ties", "judge_errors")]
    form = "" if tasks[0].variant == "plain" else f" ({tasks[0].variant})"
    title = title_of(benchmark, tasks[0].data.source) + form + _UNITS[benchmark]
    if judge := tasks[0].judge:
        title += f" by {judge.model} ({judge.mode}, {judge.template})"
        title += f" against {tasks[0].data.reference}" if tasks[0].data.reference else ""
    elif benchmark == "x_alpacaeval":
        title += ": not judged yet"
    return "\n".join([title, *aligned(heads, rows)])


def head_to_head_text(results: Results) -> str:
    """Win, tie, lose of one checkpoint against another, per cent."""
    tasks = results.of("head_to_head")
    names = ("win", "tie", "lose")
    rows = [
        [task.language, *(task.scores[name].text(digits=1) for name in names), _count(task, "judge_errors")]
        for task in tasks
    ]
    judge = tasks[0].judge
    by = f" by {judge.model} ({judge.mode}, {judge.template})" if judge else ""
    return "\n".join([f"{results.name}, %{by}", *aligned(["language", *names, "errors"], rows)])


def _tax_block(tasks: Sequence[TaskResult]) -> str:
    rows = [
        [task.language, task.task, name, score.text(digits=4), str(score.n)]
        for task in tasks
        for name, score in task.scores.items()
    ]
    return "\n".join(
        ["Alignment tax, by lm-eval's own tasks, 0-1", *aligned(["language", "task", "metric", "score", "n"], rows)]
    )


def _count(task: TaskResult, name: str) -> str:
    score = task.scores.get(name)
    return "-" if score is None or score.value is None else f"{score.value:,.0f}"


def aligned(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns under their heads."""
    widths = [max(len(row[i]) for row in [heads, *rows]) for i in range(len(heads))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in [heads, *rows]
    ]
