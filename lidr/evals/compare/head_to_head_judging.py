"""Two models against each other: the same instructions, a judge, and win, tie or lose for each item.

    A = the model, B = what it is held against; preference 1 = B better, 2 = A better

When an item is a tie:

    equal outputs                                        nobody is asked
    logprob_swap: the two orders disagree                the judge went by position, not by content
    |preference - 1.5| <= 0.05                           the judge is within 45 to 55 of 100 (ours; `margin`)

So with `text` only equal outputs tie, and with `score` equal marks. An item whose judgement failed is neither: it is
counted as an error, and the shares are of the others.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple

from lidr.errors import EvaluationError
from lidr.evals import win_rate as rates
from lidr.evals.judge import Comparison, JudgeSettings, Verdict, facts_of
from lidr.evals.model_outputs import OutputSet, Pair, pairs_of
from lidr.evals.results import (
    DataFacts,
    JudgeFacts,
    ModelFacts,
    Results,
    Score,
    TaskResult,
    mean_score,
    samples_table,
    scores_table,
    write_results,
)
from lidr.evals.x_alpacaeval import prompt_sha256

MARGIN = 0.05
"""A preference this close to 1.5 is a tie (ours)."""

Outcome = Literal["win", "tie", "lose"]


class HeadToHead(NamedTuple):
    """What `head_to_head` found: rows of SAMPLES and SCORES, one task a language, and the verdicts themselves."""

    samples: list[dict[str, Any]]
    scores: list[dict[str, Any]]
    tasks: tuple[TaskResult, ...]
    verdicts: list[Verdict]


def task_name(language: str) -> str:
    """Name of the task in records.

    >>> task_name("de")
    'lidr_head_to_head_de'
    """
    return f"lidr_head_to_head_{language}"


def outcome(verdict: Verdict, margin: float = MARGIN) -> Outcome | None:
    """Whether A (output_2) won, by the rules of this module; None where there is no verdict.

    >>> outcome(Verdict("1", 1.9)), outcome(Verdict("2", 1.47)), outcome(Verdict("3", None, "timeout"))
    ('win', 'tie', None)
    """
    if verdict.preference is None:
        return None
    sides = [order.preference - rates.TIE for order in verdict.orders if order.preference is not None]
    if round(abs(verdict.preference - rates.TIE), 9) <= margin or (sides and min(sides) < 0 < max(sides)):
        return "tie"
    return "win" if verdict.preference > rates.TIE else "lose"


def head_to_head(
    a: OutputSet,
    b: OutputSet,
    settings: JudgeSettings,
    *,
    margin: float = MARGIN,
    progress: Callable[[int], None] | None = None,
) -> HeadToHead:
    """Judge two models' answers against each other, in every language that both have.

    Args:
        a, b: of `read_outputs`; b plays the reference's part (output_1).
        settings: of the judge.
        margin: see the module.
        progress: told how many more comparisons are done.

    Raises:
        EvaluationError: no language in common, items that are not in both, or a judge that cannot be asked at all.
    """
    from lidr.evals.judge import judge

    pairs = {language: pairs_of(a, b, language) for language in languages_of(a, b)}
    asked = comparisons(pairs)
    verdicts = judge(asked, settings, progress=progress)
    facts = facts_of(settings)
    by_key = {verdict.key: verdict for verdict in verdicts}
    samples, scores, tasks = [], [], []
    for language, found in pairs.items():
        place = {"task": task_name(language), "benchmark": "head_to_head", "language": language}
        values = []
        for pair in found:
            verdict = by_key[f"{language}/{pair.item}"]
            values.append(_values(pair, verdict, margin))
            detail = {"verdict": verdict.as_json(), "against": pair.b, "outcome": outcome(verdict, margin)}
            samples.append(
                {**place, "item": pair.item, "prompt": pair.instruction, "response": pair.a, "detail": detail}
            )
            scores += [
                {**place, "item": pair.item, "metric": name, "value": value} for name, value in values[-1].items()
            ]
        tasks.append(_task_result(a, b, language, found, facts, summarise(values)))
    return HeadToHead(samples, scores, tuple(tasks), verdicts)


def languages_of(a: OutputSet, b: OutputSet) -> list[str]:
    """The languages that both have.

    Raises:
        EvaluationError: there is none.
    """
    shared = [language for language in a.by_language if language in b.by_language]
    if not shared:
        raise EvaluationError(
            f"{a.name} has answers in {', '.join(a.by_language)}, {b.name} in {', '.join(b.by_language)}: no language "
            "in common, so nothing can be compared"
        )
    return shared


def comparisons(pairs: dict[str, list[Pair]]) -> list[Comparison]:
    """What the judge is asked, for `calls_needed`: language -> pairs."""
    return [
        Comparison(f"{language}/{pair.item}", pair.instruction, pair.b, pair.a)
        for language, found in pairs.items()
        for pair in found
    ]


def _values(pair: Pair, verdict: Verdict, margin: float) -> dict[str, float | None]:
    preference, result = rates.preference_of(verdict.preference), outcome(verdict, margin)
    shares = {name: None if result is None else float(result == name) for name in ("win", "tie", "lose")}
    return {
        "preference": preference,
        **shares,
        "judge_error": float(preference is None),
        "length": float(len(pair.a)),
        "reference_length": float(len(pair.b)),
    }


def summarise(values: Sequence[dict[str, float | None]]) -> dict[str, Score]:
    """Win, tie and lose in per cent (they add up to 100), the win rate of the preferences, and what was counted."""

    def of(name: str) -> list[float | None]:
        return [value[name] for value in values]

    return {
        **{name: rates.percent(mean_score(of(name))) for name in ("win", "tie", "lose")},
        "win_rate": rates.win_rate(of("preference")),
        "n_judged": Score(value=float(sum(p is not None for p in of("preference"))), n=len(values)),
        "judge_errors": rates.count(of("judge_error")),
        "avg_length": mean_score(of("length")),
        "avg_reference_length": mean_score(of("reference_length")),
    }


def _task_result(
    a: OutputSet, b: OutputSet, language: str, pairs: Sequence[Pair], judge: JudgeFacts, scores: dict[str, Score]
) -> TaskResult:
    asked = json.dumps(sorted((pair.item, pair.instruction) for pair in pairs), ensure_ascii=False)
    known = next(
        (task for task in (a.results.of("x_alpacaeval") if a.results else ()) if task.language == language), None
    )
    return TaskResult(
        task=task_name(language),
        benchmark="head_to_head",
        variant="plain",
        language=language,
        data=DataFacts(
            source=a.source[language],
            sha256=hashlib.sha256(asked.encode()).hexdigest(),
            rows=len(pairs),
            asked=len(pairs),
            reference=b.name,
            reference_sha256=b.sha256(language),
        ),
        prompt_sha256=prompt_sha256(language),
        generation=known.generation if known else {},
        judge=judge,
        scores=scores,
    )


def write_head_to_head(out: Path, a: OutputSet, b: OutputSet, found: HeadToHead) -> Results:
    """Write a results folder: A's model, held against B."""
    name = f"{a.name} against {b.name}"
    created = datetime.now(UTC).isoformat(timespec="seconds")
    if a.results is not None:
        results = a.results.model_copy(update={"name": name, "created": created, "tasks": found.tasks})
    else:
        results = Results(
            name=name,
            model=ModelFacts(reference=a.name),
            engine={"kind": "outputs"},
            versions={"lidr": importlib.metadata.version("lidr")},
            seeds={},
            created=created,
            tasks=found.tasks,
        )
    write_results(out, results, samples_table(found.samples), scores_table(found.scores))
    return results
