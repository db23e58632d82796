"""Grade single answers from 0 to 10: multilingual MT-Bench, and the measure step.

grades = grade([Grading("81/2/de", messages)], settings)         # the last message is the answer that is graded
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from lidr.errors import EvaluationError
from lidr.evals.judge.answer_reading import read_mark, tokens_of
from lidr.evals.judge.judge_cache import answers_in
from lidr.evals.judge.judge_client import Reply
from lidr.evals.judge.judge_comparisons import NOT_ASKED, OnFatal, collect
from lidr.evals.judge.judge_template import Template, grading_template
from lidr.evals.judge.question import Question, as_question
from lidr.evals.judge.settings import JudgeSettings
from lidr.retry import Retry

if TYPE_CHECKING:
    from lidr.engines import Message

_SPEAKERS = {"system": "System", "user": "User", "assistant": "Assistant"}
_NO_REFERENCE = "(none is given)"


@dataclass(frozen=True)
class Grading:
    """One answer to grade.

    Args:
        key: names it among the gradings of one call.
        messages: the conversation; the last message is the assistant's, and is what gets the mark.
        reference: an answer that is known to be right.
    """

    key: str
    messages: tuple[Message, ...]
    reference: str | None = None


@dataclass(frozen=True)
class Grade:
    """One mark.

    Args:
        score: 0 to 10, or None with an `error`.
        explanation: all that the judge said.
        error: why there is no mark, as "reason: detail".
    """

    key: str
    score: float | None
    explanation: str | None = None
    error: str | None = None
    cached: bool = False
    prompt_tokens: int = 0
    completion_tokens: int = 0
    request_sha256: str | None = None

    def as_json(self) -> dict[str, Any]:
        """As stored in the details of a sample."""
        return asdict(self)


def grade(
    gradings: Sequence[Grading],
    settings: JudgeSettings,
    *,
    progress: Callable[[int], None] | None = None,
    on_fatal: OnFatal = "raise",
    retry: Retry | None = None,
) -> list[Grade]:
    """Grade each answer; the settings' mode plays no part, their template is one with {conversation} and {answer}.

    Returns:
        A grade for each, in their order. A single failure is a grade without score.

    Raises:
        EvaluationError: a grading without answer; with on_fatal "raise", a fault that meets every question alike.
    """
    asked, replies = [], dict[str, Reply]()
    fault: EvaluationError | None = None
    try:
        asked = _questions(gradings, settings, grading_template(settings))
        collect([(question,) for question in asked], settings, "score", replies, progress=progress, retry=retry)
    except EvaluationError as error:
        if on_fatal == "raise":
            raise
        fault = error
    if not asked:
        return [Grade(grading.key, None, error=f"{NOT_ASKED}: {fault}") for grading in gradings]
    return [_grade(grading.key, question, replies, fault) for grading, question in zip(gradings, asked, strict=True)]


def grades_needed(gradings: Sequence[Grading], settings: JudgeSettings) -> int:
    """How many calls grading will make."""
    wanted = {question.sha256 for question in _questions(gradings, settings, grading_template(settings))}
    return len(wanted) - len(answers_in(settings.cache, wanted))


def grading_question(grading: Grading, settings: JudgeSettings, template: Template) -> Question:
    """The question about one answer.

    Raises:
        EvaluationError: the conversation does not end with an assistant's message.
    """
    if len(grading.messages) < 2 or grading.messages[-1]["role"] != "assistant":
        raise EvaluationError(f"{grading.key}: a conversation to be graded must end with the assistant's answer")
    *before, answer = grading.messages
    conversation = "\n\n".join(
        f"{_SPEAKERS.get(message['role'], message['role'])}: {message['content']}" for message in before
    )
    values = {
        "conversation": conversation,
        "answer": answer["content"],
        "reference": _NO_REFERENCE if grading.reference is None else grading.reference,
    }
    return as_question(template.fill(values), settings, "score")


def _questions(gradings: Sequence[Grading], settings: JudgeSettings, template: Template) -> list[Question]:
    return [grading_question(grading, settings, template) for grading in gradings]


def _grade(key: str, question: Question, replies: Mapping[str, Reply], fault: EvaluationError | None) -> Grade:
    reply = replies.get(question.sha256)
    if reply is None or reply.response is None:
        error = reply.error if reply is not None else f"{NOT_ASKED}: {fault}"
        return Grade(key, None, error=error, request_sha256=question.sha256)
    answer = json.loads(reply.response)
    score, text, error = read_mark(answer)
    prompt_tokens, completion_tokens = tokens_of(answer)
    return Grade(
        key,
        score,
        explanation=text,
        error=error,
        cached=reply.cached,
        prompt_tokens=prompt_tokens,
        completion_tokens=completion_tokens,
        request_sha256=question.sha256,
    )
