"""Scores of an evaluation as text: one table a benchmark, every number with its standard error."""

from __future__ import annotations

from collections.abc import Sequence

from lidr.analysis import title_of
from lidr.evals import Results, Score, TaskResult
from lidr.intervals import of_mean

_COLUMNS: dict[str, tuple[tuple[str, str, int], ...]] = {
    "mgsm": (
        ("acc", "accuracy", 3),
        ("off_target", "off-target", 3),
        ("off_target_all", "off-target of all", 3),
        ("undecided", "undecided", 3),
        ("parsed", "read", 3),
        ("acc_flexible", "lm-eval's", 3),
    ),
    "x_alpacaeval": (
        ("win_rate", "win rate", 1),
        ("lc_win_rate", "length-controlled", 1),
        ("lc_win_rate_minimal", "LC, minimal", 1),
        ("lc_win_rate_v1", "LC, AlpacaEval's 1", 1),
        ("discrete_win_rate", "discrete", 1),
        ("off_target", "off-target %", 1),
        ("off_target_all", "off-target of all %", 1),
        ("undecided", "undecided %", 1),
        ("avg_length", "length", 0),
    ),
}
_COLUMNS["mt_bench"] = (
    ("score", "mark", 2),
    ("score_turn_1", "turn 1", 2),
    ("score_turn_2", "turn 2", 2),
    ("off_target", "off-target %", 1),
    ("off_target_all", "off-target of all %", 1),
    ("undecided", "undecided %", 1),
)
_SOME = ("lc_win_rate_minimal", "lc_win_rate_v1")
"""Scores that few results have: no column where none has one."""

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
    columns = [column for column in columns if column[0] not in _SOME or any(column[0] in t.scores for t in tasks)]
    heads = ["language", *(head for _, head, _ in columns), "n"]
    rows = [
        [
            task.language,
            *(_cell(task, name, digits) for name, _, digits in columns),
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
    names = [name for name, *_ in columns]
    return "\n".join([title, *aligned(heads, rows), *_all_alike(benchmark, tasks, names), *_declined(tasks)])


_SPANS = {"mgsm": (0.0, 1.0), "x_alpacaeval": (0.0, 100.0)}
_MARKS = dict.fromkeys(("score", "score_turn_1", "score_turn_2"), (0.0, 10.0))


def _all_alike(benchmark: str, tasks: Sequence[TaskResult], names: Sequence[str]) -> list[str]:
    """The intervals of scores whose error is 0 because all answers say the same: those that `eval compare` gives."""
    found = {}
    for name, score in ((name, task.scores.get(name)) for name in names if name != "avg_length" for task in tasks):
        if score is not None and score.value is not None and score.stderr == 0:
            span = _MARKS.get(name, _SPANS.get(benchmark, (0.0, 100.0)))
            low, high = of_mean(score.value, score.stderr, score.n, span)
            digits = 3 if span[1] == 1 else 1
            value = f"{score.value:.{digits}f} of {score.n}"
            found[span, score.value, score.n] = f"{value}: [{low:.{digits}f}, {high:.{digits}f}]"
    said = "; ".join(found[key] for key in sorted(found))
    return [f"± 0 is no bound, all answers say the same there; 95% intervals: {said}"] if found else []


def _declined(tasks: Sequence[TaskResult]) -> list[str]:
    """Answers that are none, by language and reason; they are scored as they are."""
    found = [f"{task.language} {count} {reason}" for task in tasks for reason, count in task.declined.items()]
    return [f"without an answer, and scored as they are: {', '.join(found)}"] if found else []


def _cell(task: TaskResult, name: str, digits: int) -> str:
    """The score; off-target with the number of answers whose language could be told, where that is not all."""
    score = task.scores.get(name, Score(value=None, n=0))
    some = name == "off_target" and score.value is not None and score.n != task.data.asked
    return score.text(digits=digits) + (f" of {score.n}" if some else "")


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
