"""MT-Bench (Zheng et al. 2023, arXiv 2306.05685) in any language: two turns, a judge grades each answer from 0 to 10.

The second turn is asked after the model's own answer to the first, and graded within that conversation. lm-eval's tasks
are single-turn, so lidr's engines are asked; the record is the same.

    score_turn_1, score_turn_2    mean mark of the answers to that turn
    score                         mean over the questions of the mean of both marks (both must have been given)
    judge_errors                  answers without a mark, not counted in any mean
    answer_errors                 questions that the engine did not answer: not asked further, not graded
    off_target, undecided         per cent, of both answers together, as in lidr.evals.x_alpacaeval.x_alpacaeval_task

Answers are greedy by default, where FastChat samples some categories at a temperature of 0.7.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from lidr.errors import EvaluationError, NegativeVerdict
from lidr.evals import win_rate as rates
from lidr.evals.judge import JudgeSettings, facts_of, grading_template
from lidr.evals.mt_bench.conversations import Conversation
from lidr.evals.mt_bench.questions import TURNS, Questions
from lidr.evals.results import JudgeFacts, Score, TaskResult, mean_score
from lidr.evals.spec import Decoding
from lidr.evals.x_alpacaeval import detect

if TYPE_CHECKING:
    from lidr.engines import Message
    from lidr.evals.judge import Grade, Grading

VERSION = 2
"""Of the rules: goes up when a number would change. 2: an answer may be in any language."""


class MTBench(NamedTuple):
    """Rows of SAMPLES and SCORES, and one task a language."""

    samples: list[dict[str, Any]]
    scores: list[dict[str, Any]]
    tasks: tuple[TaskResult, ...]


def task_name(language: str) -> str:
    """Name of the task in records.

    >>> task_name("de")
    'lidr_mt_bench_de'
    """
    return f"lidr_mt_bench_{language}"


def tasks_of(questions: Mapping[str, Questions], decoding: Decoding, limit: int | None) -> tuple[TaskResult, ...]:
    """One task for each language, without scores yet."""
    return tuple(
        TaskResult(
            task=task_name(language),
            benchmark="mt_bench",
            variant="plain",
            language=language,
            data=found.facts.model_copy(update={"asked": len(found.rows[:limit])}),
            rules=VERSION,
            prompt_sha256=hashlib.sha256(b"{turn_1}\n{turn_2}").hexdigest(),
            generation=decoding.as_json(),
            scores={},
        )
        for language, found in questions.items()
    )


def grade_answers(
    talks: Iterable[Conversation],
    settings: JudgeSettings,
    *,
    system_prompt: str | None = None,
    progress: Callable[[int], None] = lambda count: None,
) -> None:
    """Grade every answer; a mark that this judge gave to the same question before stands, and is not asked for.

    Args:
        talks: their `grades` are replaced, all together, when the judge is done.
        settings: of the judge.
        system_prompt: that opened the conversations.
        progress: told how many more answers have their grade.

    Raises:
        EvaluationError: the judge cannot be asked at all; no grade was changed.
    """
    from lidr.evals.judge import grade

    talks = list(talks)
    asked, grades = _unmarked(talks, settings, system_prompt)
    if grades:
        progress(len(grades))
    grades |= {found.key: found for found in grade(asked, settings, progress=progress)}
    for talk in talks:
        talk.grades = tuple(grades.get(talk.key(turn)) for turn in range(TURNS))


def _unmarked(
    talks: Sequence[Conversation], settings: JudgeSettings, system_prompt: str | None
) -> tuple[list[Grading], dict[str, Grade]]:
    """What is to be graded, and the marks that stand."""
    from lidr.evals.judge import Grade, Grading, grading_question

    asked, marked, template = list[Grading](), dict[str, Grade](), grading_template(settings)
    for talk in talks:
        for turn, answer in enumerate(talk.answers):
            said: Message = {"role": "assistant", "content": answer}
            messages = (*talk.messages(turn, system_prompt), said)
            grading = Grading(talk.key(turn), messages, talk.question.reference[turn])
            old = talk.grades[turn]
            sha256 = grading_question(grading, settings, template).sha256
            if old is not None and old.score is not None and old.request_sha256 == sha256:
                marked[grading.key] = old
            else:
                asked.append(grading)
    return asked, marked


def check_marks(talks: Iterable[Conversation], settings: JudgeSettings) -> None:
    """End an evaluation that rests on too few marks.

    Raises:
        NegativeVerdict: more than `max_error_share` of the graded answers have none; names the most frequent reasons.
    """
    from lidr.evals.judge import check_errors

    try:
        check_errors([grade for talk in talks for grade in talk.grades if grade is not None], settings, asked="answers")
    except EvaluationError as error:
        raise NegativeVerdict(str(error)) from None


def scored(tasks: Iterable[TaskResult], talks: Sequence[Conversation], judge: JudgeFacts | None) -> MTBench:
    """Score what was said and graded; `judge` is who graded, None where nobody did."""
    samples, scores, done = list[dict[str, Any]](), list[dict[str, Any]](), list[TaskResult]()
    for task in tasks:
        values = []
        for talk in (talk for talk in talks if talk.language == task.language):
            item = talk.question.item
            place = {"task": task.task, "benchmark": "mt_bench", "language": talk.language, "item": item}
            prompt, response = "\n\n".join(talk.question.turns), "\n\n".join(talk.answers)
            samples.append({**place, "prompt": prompt, "response": response, "detail": talk.detail()})
            values.append(_values(talk, judged=judge is not None))
            scores += [{**place, "metric": name, "value": value} for name, value in values[-1].items()]
        done.append(task.model_copy(update={"judge": judge, "scores": summarise(values)}))
    return MTBench(samples, scores, tuple(done))


def summarise(values: Sequence[Mapping[str, float | None]]) -> dict[str, Score]:
    """Sum up one language; marks 0-10, shares in per cent, errors as counts."""

    def of(name: str) -> list[float | None]:
        return [value[name] for value in values]

    errors = [value for value in of("judge_errors") if value is not None]
    return {
        **{name: mean_score(of(name)) for name in ("score", "score_turn_1", "score_turn_2")},
        "judge_errors": Score(value=float(sum(errors)), n=TURNS * len(errors)),
        "answer_errors": rates.count(of("answer_error")),
        **{name: rates.percent(mean_score(of(name))) for name in ("off_target", "off_target_all", "undecided")},
    }


def _values(talk: Conversation, *, judged: bool) -> dict[str, float | None]:
    first, second = (None if mark is None else mark.score for mark in talk.grades)
    found = None if talk.error else detect("\n\n".join(talk.answers), talk.language)
    missing = sum(mark is not None and mark.score is None for mark in talk.grades)
    return {
        "score": None if first is None or second is None else (first + second) / 2,
        "score_turn_1": first,
        "score_turn_2": second,
        "judge_errors": float(missing) if judged else None,
        "answer_error": float(talk.error is not None),
        "off_target": None if found is None else float(found != talk.language),
        "off_target_all": None if talk.error else float(found not in (None, talk.language)),
        "undecided": None if talk.error else float(found is None),
    }


def judge_facts(settings: JudgeSettings) -> JudgeFacts:
    """What a record says about the judge that grades: its template is another than that of comparisons."""
    template = grading_template(settings)
    facts = facts_of(settings.model_copy(update={"mode": "score", "template": None}))
    return facts.model_copy(update={"template": template.name, "template_sha256": template.sha256})
