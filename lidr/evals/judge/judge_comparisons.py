"""Judge comparisons.

verdicts = judge(comparisons, settings)          # one for each, in the same order
check_errors(verdicts, settings)                 # too many failures end an evaluation; single ones never do
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, Protocol

from lidr.errors import EvaluationError
from lidr.evals.judge.answer_order import unswitch, verdict_of
from lidr.evals.judge.answer_reading import read, tokens_of
from lidr.evals.judge.judge_cache import answers_in
from lidr.evals.judge.judge_client import Reply
from lidr.evals.judge.judge_template import comparing_template
from lidr.evals.judge.question import Question, questions
from lidr.evals.judge.schedule import ask_all
from lidr.evals.judge.settings import JudgeSettings
from lidr.evals.judge.verdicts import Comparison, JudgeMode, Order, Verdict
from lidr.retry import Retry

NOT_ASKED = "not asked"
BY_COMMAND = "`lidr eval judge` asks again, without generating again,"
IN_A_RUN = "the same command asks again"

OnFatal = Literal["raise", "record"]


class Judged(Protocol):
    """A verdict or a mark."""

    @property
    def error(self) -> str | None:
        """Why there is none, as "reason: detail"."""


def judge(
    comparisons: Sequence[Comparison],
    settings: JudgeSettings,
    *,
    progress: Callable[[int], None] | None = None,
    on_fatal: OnFatal = "raise",
    retry: Retry | None = None,
) -> list[Verdict]:
    """Say for each comparison which output is better.

    Args:
        comparisons: what is compared.
        settings: who judges, and how.
        progress: called with the number of comparisons that were finished since the last call.
        on_fatal: what becomes of a fault that meets every question alike (a wrong key, a damaged cache, too many
            calls): raised, or recorded as the error of each comparison that has no verdict, for callers that must not
            fail.
        retry: patience with the server; by default that of the settings.

    Returns:
        A verdict for each comparison, in their order. A single failure is a verdict without preference.

    Raises:
        EvaluationError: only with on_fatal "raise".
    """
    asked: list[tuple[Question, ...]] = []
    fault: EvaluationError | None = None
    replies: dict[str, Reply] = {}
    try:
        template = comparing_template(settings)
        asked = [questions(comparison, settings, template) for comparison in comparisons]
        collect(asked, settings, settings.mode, replies, progress=progress, retry=retry)
    except EvaluationError as error:
        if on_fatal == "raise":
            raise
        fault = error
        asked = asked or [() for _ in comparisons]
    return [
        _verdict(comparison, its, replies, settings.mode, fault)
        for comparison, its in zip(comparisons, asked, strict=True)
    ]


def calls_needed(comparisons: Sequence[Comparison], settings: JudgeSettings) -> int:
    """How many calls judging will make: without equal outputs, repetitions, and what the cache holds.

    Raises:
        EvaluationError: the template or the cache cannot be used.
    """
    template = comparing_template(settings)
    wanted = {question.sha256 for comparison in comparisons for question in questions(comparison, settings, template)}
    return len(wanted) - len(answers_in(settings.cache, wanted))


def check_errors(
    judged: Sequence[Judged], settings: JudgeSettings, *, asked: str = "comparisons", again: str = BY_COMMAND
) -> None:
    """End what rests on too few verdicts or marks.

    Args:
        judged: the judge's answers, with those that failed.
        settings: who judged, and the share of failures that is allowed.
        asked: what they are of, in the message.
        again: what to do, in the message.

    Raises:
        EvaluationError: more than `max_error_share` of them failed; names the most frequent reasons.
    """
    errors = [one.error for one in judged if one.error is not None]
    if not errors or len(errors) <= settings.max_error_share * len(judged):
        return
    raise EvaluationError(
        f"the judge {settings.shown or settings.model} failed on {len(errors)} of {len(judged)} {asked} "
        f"({len(errors) / len(judged):.1%}), and {settings.max_error_share:.1%} are allowed (max_error_share): "
        f"{reasons(errors)}. Nothing is lost: {again} where no answer came. "
        "Answers that cannot be read are kept: take another judge or mode, or raise max_error_share"
    )


def reasons(errors: Sequence[str], most: int = 3) -> str:
    """The most frequent reasons, with their number and the first full message.

    >>> reasons(["no answer: 6 tries, the last: HTTP 500", "no answer: 6 tries, the last: HTTP 503", "too long: 9000"])
    '2 x no answer (6 tries, the last: HTTP 500); 1 x too long (9000)'
    """
    counts = Counter(error.split(":")[0] for error in errors)
    parts = []
    for reason, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:most]:
        detail = next(error for error in errors if error.split(":")[0] == reason).partition(": ")[2]
        parts.append(f"{count} x {reason}" + (f" ({detail})" if detail else ""))
    return "; ".join(parts)


def collect(
    asked: Sequence[Sequence[Question]],
    settings: JudgeSettings,
    mode: JudgeMode,
    replies: dict[str, Reply],
    *,
    progress: Callable[[int], None] | None = None,
    retry: Retry | None = None,
) -> None:
    """Ask every question once and put the replies, by sha256, into `replies`, as they come.

    Raises:
        EvaluationError: see `ask_all`; `replies` then holds what was answered.
    """
    missing = [len({question.sha256 for question in group}) for group in asked]
    of: dict[str, list[int]] = {}
    for index, group in enumerate(asked):
        for sha256 in {question.sha256 for question in group}:
            of.setdefault(sha256, []).append(index)
    finished = missing.count(0)
    if progress and finished:
        progress(finished)
    unique = {question.sha256: question for group in asked for question in group}
    for sha256, reply in ask_all(unique, settings, mode, retry=retry):
        replies[sha256] = reply
        finished = 0
        for index in of[sha256]:
            missing[index] -= 1
            finished += missing[index] == 0
        if progress and finished:
            progress(finished)


def _verdict(
    comparison: Comparison,
    its: Sequence[Question],
    replies: Mapping[str, Reply],
    mode: JudgeMode,
    fault: EvaluationError | None,
) -> Verdict:
    if not its and comparison.output_1 != comparison.output_2:  # the fault came before the questions
        return Verdict(comparison.key, None, error=f"{NOT_ASKED}: {fault}")
    return verdict_of(comparison.key, tuple(_order(question, replies, mode, fault) for question in its))


def _order(question: Question, replies: Mapping[str, Reply], mode: JudgeMode, fault: EvaluationError | None) -> Order:
    reply = replies.get(question.sha256)
    if reply is None or reply.response is None:
        error = reply.error if reply is not None else f"{NOT_ASKED}: {fault}"
        return Order(question.switched, None, error=error, request_sha256=question.sha256)
    return order_of(question, reply.response, mode, cached=reply.cached)


def order_of(question: Question, response: str, mode: JudgeMode, *, cached: bool) -> Order:
    """What one answer says."""
    answer = json.loads(response)
    reading, (prompt_tokens, completion_tokens) = read(answer, mode), tokens_of(answer)
    return Order(
        switched=question.switched,
        preference=unswitch(reading.preference, switched=question.switched),
        token=reading.token,
        p=reading.p,
        error=reading.error,
        cached=cached,
        prompt_tokens=prompt_tokens,
        completion_tokens=completion_tokens,
        request_sha256=question.sha256,
        scores=reading.scores,
        text=reading.text,
    )
