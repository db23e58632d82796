"""Scores in the card of a model: before and after, with intervals, and as `model-index`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from lidr.analysis import MEAN, Difference, Evaluated, ShownScore, evaluated, title_of
from lidr.hub import SOURCE
from lidr.intervals import of_mean, wilson
from lidr.languages import LANGUAGES
from lidr.release.cards.card_tables import markdown_table
from lidr.release.evaluation_outputs import tells_of_outputs

if TYPE_CHECKING:
    from lidr.release.finished import Finished

_HUB_DATA = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+)@(?P<revision>[0-9a-f]{40})(/.*)?")
_NONE = "Not evaluated yet: no score of this policy is in its run."
_HOW_TO_READ = (
    "`iter_0` is the policy before training. In brackets: 95% intervals of one number (Wilson's for a share, Student's "
    "for a mean). Every number with its error and n, and all that it depends on, is in {records}."
)
_OF_FEW = (
    "Of fewer than {few} items, the interval of a mean or a difference is Student's, with one more item at the lowest "
    "possible value and one at the highest: it is wide, because so few items say little."
)
_ANSWERS = (
    " The answers that were scored are in `lidr/outputs`, without the benchmarks' texts; `lidr reproduce` scores them "
    "again, with no model and no judge."
)
_PAIRED = (
    "What changed, item by item: differences of the same questions, with 95% intervals from resampling whole questions "
    "in all languages together; a star marks those that do not contain 0."
)


def results_section(run: Finished) -> str:
    """The section "Results" of the card: for each benchmark one table over all iterations, and paired differences."""
    found = evaluated(run.records)
    if not found:
        return _NONE
    places = dict.fromkeys(f"`lidr/records/{record.place}.json`" for one in found for record in one.records)
    told = _ANSWERS if any(map(tells_of_outputs, run.artifacts)) else ""
    parts = [_HOW_TO_READ.format(records=", ".join(places)) + told]
    few = max(one.few for one in found)
    if any(cell and cell["n"] < few for one in found for _, _, cells in one.scores() for cell in cells):
        parts.append(_OF_FEW.format(few=few))
    for one in found:
        parts += [f"### {one.title}", _described(one), _scores_table(one)]
        if changes := _differences_table(one):
            parts += [_PAIRED, changes]
    return "\n\n".join(parts)


def _described(one: Evaluated) -> str:
    """Data, decoding and judge, in sentences."""
    tasks = list(one.last.values())
    data, judge = tasks[0]["data"], tasks[0]["judge"]
    asked = dict.fromkeys(f"{task['data']['asked']:,} of {task['data']['rows']:,}" for task in tasks)
    sources = ", ".join(f"`{task['data']['source']}`" for task in tasks)
    settings = ", ".join(f"{name} {_shown(value)}" for name, value in tasks[0]["generation"].items())
    lines = [f"Items asked in each language: {' or '.join(asked)}, from {sources}. Answers: {settings}."]
    if judge:
        lines.append(
            f"Judge: `{judge['model']}`, mode {judge['mode']}, template `{judge['template']}` "
            f"(SHA-256 `{judge['template_sha256'][:12]}`), against answers of `{data['reference']}`."
        )
    elif one.form[0] == "x_alpacaeval":
        lines.append("Not judged yet.")
    return " ".join(lines)


def _shown(value: Any) -> str:
    return "none" if value is None else f"`{value}`"


def _scores_table(one: Evaluated) -> str:
    rows = [
        (
            _label(score, one),
            language,
            *(score_cell(cell, score) for cell in cells),
            f"{(cells[-1] or {'n': 0})['n']:,}",
        )
        for score, language, cells in one.scores()
    ]
    return markdown_table(("score", "language", *one.headings, "n"), rows)


def _label(score: ShownScore, one: Evaluated) -> str:
    """As cards of these rules call it."""
    return score.label if one.few or not score.then else score.then


def score_cell(found: Mapping[str, Any] | None, score: ShownScore) -> str:
    """Value and interval, where it has one: `0.612 [0.550, 0.671]`."""
    if found is None:
        return "-"
    if not score.has_error:
        return f"{found['value']:.{score.digits}f}"
    low, high = interval(found, score)
    return f"{found['value']:.{score.digits}f} [{low:.{score.digits}f}, {high:.{score.digits}f}]"


def interval(found: Mapping[str, Any], score: ShownScore) -> tuple[float, float]:
    """95% interval of one score {value, stderr, n, few}: Wilson's for a share, Student's for a mean."""
    if score.is_share:
        low, high = wilson(found["value"] / score.scale, found["n"])
        return low * score.scale, high * score.scale
    return of_mean(found["value"], found["stderr"], found["n"], (0.0, score.scale), few=found["few"])


def _differences_table(one: Evaluated) -> str:
    """One column for each iteration that was compared; empty when none was."""
    columns, rows = one.changes(), []
    for score in one.shown:
        for language in (*one.last, MEAN):
            cells = [column.get((score.name, language)) for column in columns.values()]
            if any(cells):
                n = max(cell["n"] for cell in cells if cell)
                where = "mean" if language == MEAN else language
                rows.append((score.label, where, *(change_cell(cell, score.digits) for cell in cells), f"{n:,}"))
    return markdown_table(("score", "language", *columns, "n"), rows) if rows else ""


def change_cell(found: Difference | None, digits: int) -> str:
    """Difference, interval, and a star where it does not contain 0: `+0.160 [+0.108, +0.212] *`."""
    if found is None:
        return "-"
    value, low, high = found["value"], found["low"], found["high"]
    if low is None or high is None:
        return f"{value:+.{digits}f}"
    star = " *" if low > 0 or high < 0 else ""
    return f"{value:+.{digits}f} [{low:+.{digits}f}, {high:+.{digits}f}]{star}"


def model_index(run: Finished, name: str, url: str) -> dict[str, Any]:
    """Metadata of what the last policy scored: `model-index`, checked by the Hub client's own types, and `metrics`.

    Args:
        name: of the model.
        url: where the full numbers stand.
    """
    from huggingface_hub import ModelCardData

    last = run.result
    records = [record for record in run.records if record.iteration <= last]
    found = [one for one in evaluated(records) if one.records[-1].iteration == last]
    results = [result for one in found for result in _eval_results(one, url)]
    if not results:
        return {}
    data = ModelCardData(model_name=name, eval_results=results).to_dict()  # type: ignore[no-untyped-call]
    return {"metrics": sorted({result.metric_type for result in results}), "model-index": data["model-index"]}


def _eval_results(one: Evaluated, url: str) -> Iterator[Any]:
    from huggingface_hub import EvalResult

    for score, language, cells in one.scores():
        task, found = one.last[language], cells[-1]
        if found is None:
            continue
        data, judge, on_hub = task["data"], task["judge"], _HUB_DATA.fullmatch(task["data"]["source"])
        bounds = [round(bound, 6) for bound in interval(found, score)] if score.has_error else None
        judged = {f"judge_{what}": judge[what] for what in ("model", "mode", "template")} if judge else {}
        yield EvalResult(
            task_type="text-generation",
            dataset_type=on_hub["repo"] if on_hub else one.form[0],
            dataset_name=f"{title_of(one.form[0], data['source'])}, {LANGUAGES[language].name}",
            dataset_config=language,
            dataset_split="test",
            dataset_revision=on_hub["revision"] if on_hub else None,
            dataset_args={"rows_sha256": data["sha256"], "asked": data["asked"], "form": one.form[1]},
            metric_type=score.type,
            metric_name=_label(score, one),
            metric_value=round(found["value"], 6),
            metric_args={
                "n": found["n"],
                **({"interval_95": bounds} if bounds else {}),
                **judged,
            },
            source_name=SOURCE,
            source_url=url,
        )
