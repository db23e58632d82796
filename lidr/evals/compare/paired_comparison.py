"""Compare evaluations of several models on the same items: paired differences, and the language gap.

compare(open_evaluations(["out/m0", "out/m1"]), dominant="en")   -> Comparison
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from lidr.analysis import title_of
from lidr.errors import EvaluationError
from lidr.evals.compare.comparability import differing, remarks
from lidr.evals.compare.metrics import METRICS, Metric, metric_named
from lidr.evals.compare.panels import panel_of, values_of
from lidr.evals.length_control import SCORE
from lidr.evals.reader import Evaluation, Values, languages_of
from lidr.evals.statistics import RESAMPLES, SEED, Paired, paired

USUAL_DOMINANT = "en"


@dataclass(frozen=True)
class Section:
    """One metric of one form of a benchmark, over all models and languages.

    Args:
        title: what was asked: the benchmark, or the data of its form that were asked instead.
        items: compared in each language.
        judge: who judged, where a judge did.
    """

    benchmark: str
    variant: str
    title: str
    metric: Metric
    models: tuple[str, ...]
    baseline: str
    languages: tuple[str, ...]
    dominant: str | None
    items: dict[str, int]
    paired: Paired
    judge: str | None

    def as_json(self) -> dict[str, Any]:
        """As plain data."""
        named = ("benchmark", "variant", "title", "models", "baseline", "languages", "dominant", "items", "judge")
        unit = {"metric": self.metric.name, "label": self.metric.label}
        return {**{name: getattr(self, name) for name in named}, **unit, **self.paired.as_json()}


@dataclass(frozen=True)
class Comparison:
    """Everything that `lidr eval compare` shows."""

    sections: tuple[Section, ...]
    notes: tuple[str, ...]
    resamples: int
    seed: int

    def as_json(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "resamples": self.resamples,
            "seed": self.seed,
            "notes": list(self.notes),
            "sections": [section.as_json() for section in self.sections],
        }


def compare(
    evaluations: Sequence[Evaluation],
    *,
    benchmark: str | None = None,
    metric: str | Sequence[str] | None = None,
    baseline: str | None = None,
    dominant: str | None = None,
    common: bool = False,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> Comparison:
    """Compare two or more evaluations.

    Args:
        benchmark: only this one; None is every one that all have.
        metric: only this one, or these, by the names of scores; None is METRICS.
        baseline: name or place of the evaluation that the others are compared with; None is the first.
        dominant: language of the gaps; None is English where it is there.
        common: leave out languages and items that not all have, instead of refusing.

    Raises:
        EvaluationError: nothing to compare, other conditions than the model differ, or languages or items are missing.
    """
    if len(evaluations) < 2:
        raise EvaluationError("a comparison needs two evaluations at least: lidr eval compare A B")
    wanted = (metric,) if isinstance(metric, str) else tuple(metric or ())
    base = _find_baseline(evaluations, baseline)
    forms, notes = _forms(evaluations, benchmark)
    languages = {form: _languages(evaluations, *form, common=common, notes=notes) for form in forms}
    problems = [line for form in forms for line in differing(evaluations, *form, languages[form])]
    if problems:
        raise EvaluationError(
            "these evaluations differ in more than the model, so their numbers cannot be compared:\n  "
            + "\n  ".join(problems)
            + "\nEvaluate (or, for a judge, `lidr eval judge`) again with the same settings"
        )
    notes += remarks(evaluations)
    sections = []
    for form in forms:
        if not wanted or SCORE in wanted:
            notes += _of_the_leaderboard(evaluations, *form)
        for one in _metrics(evaluations, *form, wanted, notes):
            codes = languages[form]
            values, items = _values(evaluations, *form, one, codes, common=common, notes=notes)
            panel = panel_of(tuple(e.name for e in evaluations), codes, values, one)
            best = _dominant(dominant, codes)
            numbers = paired(panel, baseline=base, dominant=best, resamples=resamples, seed=seed)
            judge = _judge(evaluations[0], *form) if one.is_judged else None
            title = title_of(form[0], evaluations[0].tasks(*form)[codes[0]].data.source)
            sections.append(Section(*form, title, one, panel.models, base, codes, best, items, numbers, judge))
    if not sections:
        sought = f"a metric {' or '.join(wanted)}" if wanted else "values"
        asked = f"{benchmark or 'no benchmark'} has {sought}"
        there = "".join(f"\n  --metric for {form[0]}: {', '.join(_there(evaluations, form[0]))}" for form in forms)
        said = "".join(f"\n  {note}" for note in notes)
        raise EvaluationError(f"nothing to compare: {asked} in all evaluations{said}{there if wanted else ''}")
    return Comparison(tuple(sections), tuple(dict.fromkeys(notes)), resamples, seed)


def _find_baseline(evaluations: Sequence[Evaluation], wanted: str | None) -> str:
    if wanted is None:
        return evaluations[0].name
    found = next((e.name for e in evaluations if wanted in (e.name, e.place, e.results.name)), None)
    if found is None:
        raise EvaluationError(f'--baseline "{wanted}" is none of them: {", ".join(e.name for e in evaluations)}')
    return found


def _forms(evaluations: Sequence[Evaluation], benchmark: str | None) -> tuple[list[tuple[str, str]], list[str]]:
    """Benchmarks and variants that all have, and a note on each that only some have."""
    have: list[list[tuple[str, str]]] = [
        list(dict.fromkeys((str(t.benchmark), t.variant) for t in e.results.tasks)) for e in evaluations
    ]
    every = list(dict.fromkeys(form for forms in have for form in forms if benchmark in (None, form[0])))
    shared = [form for form in every if all(form in forms for forms in have)]
    if not shared:
        each = "; ".join(
            f"{e.name} has {', '.join(' '.join(form) for form in forms) or 'nothing'}"
            for e, forms in zip(evaluations, have, strict=True)
        )
        raise EvaluationError(f"no {benchmark or 'benchmark'} with one form of prompt is in all evaluations: {each}")
    missing = [form for form in every if form not in shared]
    return shared, [f"{' '.join(form)} is not in all evaluations and was left out" for form in missing]


def _languages(
    evaluations: Sequence[Evaluation], benchmark: str, variant: str, *, common: bool, notes: list[str]
) -> tuple[str, ...]:
    have = {e.name: e.tasks(benchmark, variant) for e in evaluations}
    every = languages_of(have.values())
    shared = tuple(code for code in every if all(code in tasks for tasks in have.values()))
    if shared == every:
        return every
    lacks = "; ".join(
        f"{name} lacks {' '.join(code for code in every if code not in tasks)}"
        for name, tasks in have.items()
        if any(code not in tasks for code in every)
    )
    if not common or not shared:
        raise EvaluationError(
            f"{benchmark} {variant}: not all evaluations have the same languages: {lacks}; evaluate them, "
            f"or compare what all have ({len(shared)} of {len(every)} languages) with --common"
        )
    notes.append(f"{benchmark} {variant}: {len(shared)} of {len(every)} languages are in all ({lacks})")
    return shared


def _metrics(
    evaluations: Sequence[Evaluation], benchmark: str, variant: str, wanted: Sequence[str], notes: list[str]
) -> Iterator[Metric]:
    """The metrics to compare; one without a single value in some evaluation is left out with a note."""
    names = wanted or [m.name for m in METRICS.get(benchmark, ())]
    for one in (metric_named(benchmark, name) for name in names):
        empty = [e.name for e in evaluations if not _has_values(e, benchmark, variant, one)]
        if not empty:
            yield one
            continue
        if one.is_later and not wanted and len(empty) == len(evaluations):
            continue
        advice = "; judge its outputs: lidr eval judge" if one.is_judged else ""
        notes.append(f"{benchmark} {variant}: no value of {one.name} in {', '.join(empty)}{advice}")


def _there(evaluations: Sequence[Evaluation], benchmark: str) -> list[str]:
    """Names of the metrics that all evaluations have a value of."""
    known = METRICS.get(benchmark, ())
    items = {one.item for one in known if not one.is_fitted}
    forms = {task.variant for evaluation in evaluations for task in evaluation.results.of(benchmark)}
    others = {str(name) for evaluation in evaluations for name in evaluation.scores["metric"].unique().to_pylist()}
    found = [*known, *(metric_named(benchmark, name) for name in sorted(others - items))]
    return [
        one.name
        for one in found
        if all(any(_has_values(evaluation, benchmark, form, one) for form in forms) for evaluation in evaluations)
    ]


def _of_the_leaderboard(evaluations: Sequence[Evaluation], benchmark: str, variant: str) -> Iterator[str]:
    """AlpacaEval's version 1, which has no value by item and so no interval: side by side, where all have it."""
    tasks = {e.name: e.tasks(benchmark, variant).get("en") for e in evaluations}
    found = {name: task for name, task in tasks.items() if task is not None and SCORE in task.scores}
    if not found:
        return
    where = f"{benchmark} {variant}, en: {SCORE}"
    if len(found) < len(tasks):
        yield f"{where} is only in {', '.join(found)}"
    elif len({task.length_control_sha256 for task in found.values()}) > 1:
        yield f"{where} was made with different files, so it cannot be compared"
    else:
        each = ", ".join(f"{name} {task.scores[SCORE].text(digits=2)}" for name, task in found.items())
        yield f"{where} (length-controlled win rate, AlpacaEval's version 1, %; it has no interval): {each}"


def _has_values(evaluation: Evaluation, benchmark: str, variant: str, one: Metric) -> bool:
    values = values_of(evaluation.scores, one)
    tasks = evaluation.tasks(benchmark, variant).values()
    return any(value is not None for task in tasks for value in values.get(task.task, {}).values())


def _values(
    evaluations: Sequence[Evaluation],
    benchmark: str,
    variant: str,
    one: Metric,
    languages: Sequence[str],
    *,
    common: bool,
    notes: list[str],
) -> tuple[list[dict[str, Values]], dict[str, int]]:
    """For each evaluation language -> item -> value, over the same items; and how many items each language has."""
    found = []
    for evaluation in evaluations:
        values, tasks = values_of(evaluation.scores, one), evaluation.tasks(benchmark, variant)
        found.append({code: values.get(tasks[code].task, {}) for code in languages})
    problems = []
    for code in languages:
        shared = set.intersection(*(set(values[code]) for values in found))
        every = set.union(*(set(values[code]) for values in found))
        if shared == every:
            continue
        each = ", ".join(f"{e.name} {len(values[code])}" for e, values in zip(evaluations, found, strict=True))
        problems.append(f"{benchmark} {variant}, {code}: {len(shared)} of {len(every)} items are in all ({each})")
        for values in found:
            values[code] = {item: value for item, value in values[code].items() if item in shared}
    if problems and not common:
        text = "\n  ".join(problems)
        raise EvaluationError(
            f"not all evaluations have the same items:\n  {text}\nEvaluate with the same --limit, or compare the items "
            "that all have with --common"
        )
    notes += problems
    return found, {code: len(found[0][code]) for code in languages}


def _dominant(wanted: str | None, languages: Sequence[str]) -> str | None:
    if wanted is None:
        return USUAL_DOMINANT if USUAL_DOMINANT in languages else None
    if wanted not in languages:
        raise EvaluationError(f'--dominant "{wanted}" was not evaluated; languages: {", ".join(languages)}')
    return wanted


def _judge(evaluation: Evaluation, benchmark: str, variant: str) -> str | None:
    facts = next(iter(evaluation.tasks(benchmark, variant).values())).judge
    return None if facts is None else f"{facts.model}, {facts.mode}, template {facts.template}"
