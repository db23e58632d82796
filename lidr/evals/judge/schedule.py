"""Ask many questions at once, each at most once in the world: what the cache holds is not asked, and what another
process is asking is waited for.
"""

from __future__ import annotations

import contextlib
import json
import logging
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path
from queue import SimpleQueue

from lidr.engines import Hopeless
from lidr.errors import EvaluationError
from lidr.evals.judge.answer_reading import read_logprobs
from lidr.evals.judge.judge_cache import Cache
from lidr.evals.judge.judge_client import TOO_LONG, JudgeClient, Reply
from lidr.evals.judge.question import Question
from lidr.evals.judge.settings import JudgeSettings
from lidr.evals.judge.verdicts import JudgeMode
from lidr.retry import Retry

_LOOK_AGAIN_S = 0.1  # for an answer that another process is asking for
_LEAST_IN_A_ROW = 16

_Result = tuple[str, Reply] | Exception | None


def ask_all(
    questions: Mapping[str, Question], settings: JudgeSettings, mode: JudgeMode, *, retry: Retry | None = None
) -> Iterator[tuple[str, Reply]]:
    """Answer the questions, in no order.

    Args:
        questions: by their sha256.
        settings: whom to ask, how many at once, and the cache.
        mode: how answers will be read.
        retry: patience; by default that of the settings.

    Yields:
        sha256 and reply of each question.

    Raises:
        EvaluationError: the cache cannot be used; more calls are needed than allowed; the server refuses whatever is
            asked. What was answered before has been yielded, and stands in the cache.
    """
    with contextlib.ExitStack() as stack:
        cache = stack.enter_context(Cache(Path(settings.cache))) if settings.cache is not None else None
        known = cache.get_many(questions) if cache else {}
        check_cap(len(questions) - len(known), settings)
        for key, response in known.items():
            yield key, Reply(response, cached=True)
        todo = deque(question for key, question in questions.items() if key not in known)
        if todo:
            if cache:
                stack.enter_context(cache.keeping_claims())
            yield from _Crew(todo, settings, mode, cache, retry).answers()


def check_cap(needed: int, settings: JudgeSettings) -> None:
    """Refuse before the first call what would cost too much.

    Raises:
        EvaluationError: more calls are needed than `max_calls`.
    """
    if settings.max_calls is not None and needed > settings.max_calls:
        raise EvaluationError(
            f"the judge {settings.model} would be called {needed:,} times, max_calls allows {settings.max_calls:,}; "
            "nothing was asked. Raise max_calls, ask fewer items (--limit), or use a mode with one order (logprob)"
        )


class _Crew:
    """Threads that take questions until none is left."""

    def __init__(
        self,
        todo: deque[Question],
        settings: JudgeSettings,
        mode: JudgeMode,
        cache: Cache | None,
        retry: Retry | None,
    ) -> None:
        self._todo, self._settings, self._cache = todo, settings, cache
        self._reads_logprobs = mode in ("logprob", "logprob_swap")
        self._client = JudgeClient(settings, retry)
        self._size = min(settings.concurrency, len(todo))
        self._left, self._results = threading.Event(), SimpleQueue[_Result]()
        self._lock, self._in_a_row = threading.Lock(), 0

    def answers(self) -> Iterator[tuple[str, Reply]]:
        """Yield the answers as they come; leaving early asks nothing more."""
        # Daemons, because a thread that waits for a slow server cannot be ended, and must not delay the exit.
        for _ in range(self._size):
            threading.Thread(target=self._work, daemon=True).start()
        working = self._size
        fault: Exception | None = None
        try:
            while working:
                result = self._results.get()
                if result is None:
                    working -= 1
                elif isinstance(result, Exception):
                    fault = fault or result
                else:
                    yield result
            if fault is not None:
                raise EvaluationError(f"{fault}. {self._kept()}") if isinstance(fault, Hopeless) else fault
        finally:
            self._left.set()
            if working:  # left early: what is still on its way comes too late to be kept
                self._cache = None
            else:
                self._client.close()

    def _kept(self) -> str:
        if self._cache:
            return f"What was answered is kept in {self._cache.path}: the same command goes on from there"
        return "Nothing is kept: give the judge a cache"

    def _work(self) -> None:
        try:
            while not self._left.is_set():
                try:
                    question = self._todo.popleft()
                except IndexError:
                    break
                reply = self._answer(question)
                if reply is None:
                    self._todo.append(question)
                    self._left.wait(_LOOK_AGAIN_S)
                else:
                    self._results.put((question.sha256, reply))
        except Exception as error:  # raised where the results are read
            self._left.set()
            self._results.put(error)
        self._results.put(None)

    def _answer(self, question: Question) -> Reply | None:
        """The reply; None while another process is asking."""
        claim = self._from_cache(question)
        if claim is not None:
            return claim if claim.response is not None else None
        try:
            reply = self._client.ask(question.body, self._left)
        except BaseException:
            self._to_cache(question, None)
            raise
        is_kept = reply.response is not None and not self._lacks_logprobs(reply)
        self._to_cache(question, reply.response if is_kept else None)
        self._count(reply, is_kept)
        return reply

    def _lacks_logprobs(self, reply: Reply) -> bool:
        """A server or proxy that gives none today may give them tomorrow: such an answer is not kept."""
        if not self._reads_logprobs or reply.response is None:
            return False
        reading = read_logprobs(json.loads(reply.response))
        return reading.error is not None and reading.error.startswith("no log-probabilities")

    def _from_cache(self, question: Question) -> Reply | None:
        """The answer; an empty reply while another one asks; None if it is ours to ask."""
        cache = self._cache  # another thread may drop it meanwhile
        if cache is None:
            return None
        try:
            claim = cache.claim(question.sha256)
        except EvaluationError as error:
            self._without_cache(error)
            return None
        return None if claim.state == "ours" else Reply(claim.response, cached=True)

    def _to_cache(self, question: Question, response: str | None) -> None:
        cache = self._cache
        if cache is None:
            return
        try:
            if response is None:
                cache.release(question.sha256)
            else:
                cache.put(question.sha256, response, model=self._settings.model)
        except EvaluationError as error:
            self._without_cache(error)

    def _without_cache(self, error: EvaluationError) -> None:
        """A cache that fails on the way (a full disk) costs later calls, not this run."""
        with self._lock:
            is_first, self._cache = self._cache is not None, None
        if is_first:
            logging.getLogger("lidr.judge").warning("%s; judging goes on without it", error)

    def _count(self, reply: Reply, is_kept: bool) -> None:
        """Give up on a server that answers nothing: with all its tries, each further question would cost minutes."""
        if reply.error is not None and reply.error.startswith(TOO_LONG):
            return
        most = max(_LEAST_IN_A_ROW, 2 * self._settings.concurrency)
        with self._lock:
            self._in_a_row = 0 if is_kept else self._in_a_row + 1
            is_over = self._in_a_row == most
        if is_over:
            reason = reply.error or "the server gives no log-probabilities; use the mode text"
            raise Hopeless(f"{self._settings.base_url}: {most} questions in a row failed, the last: {reason}")
