"""MT-Bench (Zheng et al. 2023, arXiv 2306.05685) in any language: two turns, a judge grades each answer from 0 to 10.

The second turn is asked after the model's own answer to the first, and graded within that conversation. lm-eval's tasks
are single-turn, so lidr's engines are asked; the record is the same.

    score_turn_1, score_turn_2    mean mark of the answers to that turn
    score                         mean over the questions of the mean of both marks (both must have been given)
    judge_errors                  answers without a mark, not counted in any mean
    answer_errors                 questions that the engine did not answer: not asked further, not graded
    off_target, undecided         per cent, of both answers together, as in lidr.evals.x_alpacaeval

Answers are greedy by default, where FastChat samples some categories at a temperature of 0.7.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from lidr.engines.base import ChatRequest, Completion, Engine, Message, Sampling
from lidr.errors import EvaluationError
from lidr.evals import win_rate as rates
from lidr.evals.judge.base import JudgeSettings
from lidr.evals.mt_bench_questions import TURNS, Question, Questions
from lidr.evals.results import JudgeFacts, Score, TaskResult, mean_score
from lidr.evals.spec import Decoding

if TYPE_CHECKING:
    from lidr.evals.judge import Grade


class MTBench(NamedTuple):
    """Rows of SAMPLES and SCORES, and one task a language."""

    samples: list[dict[str, Any]]
    scores: list[dict[str, Any]]
    tasks: tuple[TaskResult, ...]


@dataclass
class _Conversation:
    """What was said so far on one question; `error` where the engine did not answer."""

    question: Question
    language: str
    messages: tuple[Message, ...]
    answers: tuple[str, ...] = ()
    error: str | None = None


def task_name(language: str) -> str:
    """Name of the task in records.

    >>> task_name("de")
    'lidr_mt_bench_de'
    """
    return f"lidr_mt_bench_{language}"


def evaluate_mt_bench(
    engine: Engine,
    questions: Mapping[str, Questions],
    settings: JudgeSettings | None,
    *,
    decoding: Decoding | None = None,
    seed: int = 42,
    limit: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> MTBench:
    """Ask both turns, grade both answers.

    Args:
        engine: that answers.
        questions: language -> questions.
        settings: of the judge; None leaves the answers without marks.
        decoding: of the answers.
        seed: of the engine.
        limit: only the first questions of each language.
        progress: told how many more answers were given or graded.

    Raises:
        EvaluationError: the engine answered nothing at all, or the judge cannot be asked at all.
    """
    decoding, told = decoding or Decoding(), progress or (lambda count: None)
    talks = [
        _Conversation(question, language, _opening(decoding))
        for language, found in questions.items()
        for question in found.rows[:limit]
    ]
    sampling = Sampling(decoding.max_tokens, repetition_penalty=decoding.repetition_penalty, seed=seed)
    for turn in range(TURNS):
        _ask(engine, talks, turn, sampling, told)
    if talks and all(talk.error for talk in talks):
        raise EvaluationError(f"none of {len(talks)} questions was answered, the first because: {talks[0].error}")
    grades = _graded(talks, settings, told) if settings else {}
    pieces = [
        _of_language(language, found, [talk for talk in talks if talk.language == language], grades, settings, decoding)
        for language, found in questions.items()
    ]
    return MTBench(
        [row for piece in pieces for row in piece.samples],
        [row for piece in pieces for row in piece.scores],
        tuple(task for piece in pieces for task in piece.tasks),
    )


def summarise(values: Sequence[Mapping[str, float | None]]) -> dict[str, Score]:
    """Sum up one language; marks 0-10, shares in per cent, errors as counts."""

    def of(name: str) -> list[float | None]:
        return [value[name] for value in values]

    errors = [value for value in of("judge_errors") if value is not None]
    return {
        **{name: mean_score(of(name)) for name in ("score", "score_turn_1", "score_turn_2")},
        "judge_errors": Score(value=float(sum(errors)), n=TURNS * len(errors)),
        "answer_errors": rates.count(of("answer_error")),
        **{name: rates.percent(mean_score(of(name))) for name in ("off_target", "undecided")},
    }


def _opening(decoding: Decoding) -> tuple[Message, ...]:
    return ({"role": "system", "content": decoding.system_prompt},) if decoding.system_prompt else ()


def _ask(
    engine: Engine, talks: Sequence[_Conversation], turn: int, sampling: Sampling, told: Callable[[int], None]
) -> None:
    """Ask one turn of all conversations that still go on, and write down what was answered."""
    open_ = {f"{talk.language}/{talk.question.item}": talk for talk in talks if talk.error is None}
    for talk in open_.values():
        talk.messages += ({"role": "user", "content": talk.question.turns[turn]},)
    for result in engine.generate([ChatRequest(key, talk.messages, sampling) for key, talk in open_.items()]):
        talk = open_[result.key]
        if isinstance(result, Completion) and result.finish_reason != "prompt_too_long":
            talk.messages += ({"role": "assistant", "content": result.text},)
            talk.answers += (result.text,)
        else:
            reason = "the prompt is too long" if isinstance(result, Completion) else result.error
            talk.error = f"turn {turn + 1}: {reason}"
        told(1)


def _graded(talks: Sequence[_Conversation], settings: JudgeSettings, told: Callable[[int], None]) -> dict[str, Grade]:
    """Key of an answer -> its grade."""
    from lidr.evals.judge import Grading, grade

    asked = []
    for talk in talks:
        start = len(talk.messages) - 2 * len(talk.answers) - (talk.error is not None)
        for turn in range(len(talk.answers)):
            upto = talk.messages[: start + 2 * (turn + 1)]
            asked.append(Grading(_key(talk, turn), upto, talk.question.reference[turn]))
    return {found.key: found for found in grade(asked, settings, progress=told)}


def _key(talk: _Conversation, turn: int) -> str:
    return f"{talk.language}/{talk.question.item}/{turn + 1}"


def _of_language(
    language: str,
    found: Questions,
    talks: Sequence[_Conversation],
    grades: Mapping[str, Grade],
    settings: JudgeSettings | None,
    decoding: Decoding,
) -> MTBench:
    samples, scores, values = [], [], []
    for talk in talks:
        place = {"task": task_name(language), "benchmark": "mt_bench", "language": language, "item": talk.question.item}
        marks = [grades.get(_key(talk, turn)) for turn in range(TURNS)]
        values.append(_values(talk, marks, judged=settings is not None))
        detail = {
            "category": talk.question.category,
            "turns": [
                {"prompt": prompt, "response": said, "grade": mark.as_json() if mark else None}
                for prompt, said, mark in zip(talk.question.turns, talk.answers, marks, strict=False)
            ],
            "error": talk.error,
        }
        prompt, response = "\n\n".join(talk.question.turns), "\n\n".join(talk.answers)
        samples.append({**place, "prompt": prompt, "response": response, "detail": detail})
        scores += [{**place, "metric": name, "value": value} for name, value in values[-1].items()]
    task = TaskResult(
        task=task_name(language),
        benchmark="mt_bench",
        variant="plain",
        language=language,
        data=found.facts.model_copy(update={"asked": len(talks)}),
        prompt_sha256=hashlib.sha256(b"{turn_1}\n{turn_2}").hexdigest(),
        generation=decoding.as_json(),
        judge=judge_facts(settings) if settings else None,
        scores=summarise(values),
    )
    return MTBench(samples, scores, (task,))


def _values(talk: _Conversation, marks: Sequence[Grade | None], *, judged: bool) -> dict[str, float | None]:
    from lidr.evals.x_alpacaeval import detect

    first, second = (None if mark is None else mark.score for mark in marks)
    found = None if talk.error else detect("\n\n".join(talk.answers), talk.language)
    missing = sum(mark is not None and mark.score is None for mark in marks)
    return {
        "score": None if first is None or second is None else (first + second) / 2,
        "score_turn_1": first,
        "score_turn_2": second,
        "judge_errors": float(missing) if judged else None,
        "answer_error": float(talk.error is not None),
        "off_target": None if found is None else float(found != talk.language),
        "undecided": None if talk.error else float(found is None),
    }


def judge_facts(settings: JudgeSettings) -> JudgeFacts:
    """What a record says about the judge that grades: its template is another than that of comparisons."""
    from lidr.evals.judge.template import grading_template

    template = grading_template(settings)
    return JudgeFacts(
        model=settings.model,
        mode="score",
        template=template.name,
        template_sha256=template.sha256,
        served="server" if settings.digest is None else "local",
        digest=settings.digest,
        seed=settings.seed,
    )
