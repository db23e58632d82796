"""Every attempt at every translation as one stream of requests.

What failed is asked again among the others, so an engine is busy until the last one; answers are read while it works.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from lidr.engines import ChatRequest
from lidr.recipe import TranslateConfig
from lidr.steps.answering import Answering, Tally
from lidr.steps.step_kind import StepRun
from lidr.steps.translate.attempts import (
    PendingTranslation,
    Standings,
    is_due,
    keys_of,
    read_answers,
    requests_of,
)
from lidr.steps.translate.readers import Readers

READ_AT_ONCE, READ_AT_LAST = 512, 32
"""Translations that are held against their sources in one go: many cost less each, few are asked again sooner."""


@dataclass(slots=True)
class _Open:
    """A translation whose next attempt is under way.

    Args:
        number: its place among the texts.
        item: it.
        missing: how many requests of the attempt have no answer yet.
        failed: whether one of them never will: it is then asked again by the next run, not by the next attempt.
    """

    number: int
    item: PendingTranslation
    missing: int = 0
    failed: bool = False


class AttemptStream:
    """Asks for each translation until it succeeded or may not be tried again, and keeps how far each came.

    The requests are taken by the engine, in whatever thread.
    """

    def __init__(self, run: StepRun, answering: Answering, tally: Tally, readers: Readers) -> None:
        """Ask nothing yet."""
        self._run, self._answering, self._tally, self._readers = run, answering, tally, readers
        self._config: TranslateConfig = run.config
        self.standings = Standings()
        self._waiting: dict[str, _Open] = {}  # by request
        self._whole: list[_Open] = []  # answered to the last piece, and not read
        self._again: deque[_Open] = deque()
        self._asked = self._answered = 0  # requests
        self._begun = self._ended = 0  # translations
        self._enough = READ_AT_ONCE
        self._lock = threading.Lock()

    def run(self, texts: Callable[[], Iterator[PendingTranslation]]) -> Standings:
        """Ask for all, and those that failed again, by the recipe's retries; `texts` gives them from their beginning.

        Raises:
            EngineError: some got no answer; the others are kept.
        """
        self._count(texts())
        for items in _several(self._answered_before(texts())):
            self._read(items, is_asking=False)
        self._answering.ask(self._requests(texts()), self._hear)
        return self.standings

    def _count(self, items: Iterable[PendingTranslation]) -> None:
        known = total = 0
        for item in items:
            if is_due(item, self._config, 0):
                keys = keys_of(self._config, item, 0)
                total += len(keys)
                known += sum(map(self._answering.is_known, keys))
        self._run.progress.start(total, "requests", done=known)

    def _answered_before(self, items: Iterable[PendingTranslation]) -> Iterator[_Open]:
        """Those whose first attempt was answered in an earlier try."""
        for number, item in enumerate(items):
            if is_due(item, self._config, 0) and self._is_answered(item):
                yield _Open(number, item)

    def _is_answered(self, item: PendingTranslation) -> bool:
        return all(map(self._answering.is_known, keys_of(self._config, item, item.attempts)))

    def _requests(self, items: Iterable[PendingTranslation]) -> Iterator[ChatRequest | None]:
        for number, item in enumerate(items):
            yield from self._asked_again()
            if self._is_due(self.standings.stand(number, item)):
                self._begun += 1
                yield from self._ask(_Open(number, item))
        self._enough = READ_AT_LAST
        while self._begun > self._ended:
            with self._lock:
                if self._asked == self._answered:  # nothing else is under way
                    self._read_whole()
            if not self._again and self._begun > self._ended:
                yield None
            yield from self._asked_again()

    def _is_due(self, item: PendingTranslation) -> bool:
        return item.attempts <= self._config.retry.times and is_due(item, self._config, item.attempts)

    def _asked_again(self) -> Iterator[ChatRequest]:
        while self._again:
            yield from self._ask(self._again.popleft())

    def _ask(self, one: _Open) -> Iterator[ChatRequest]:
        requests = requests_of(self._run, one.item, one.item.attempts)
        if one.item.attempts:
            self._run.progress.more(len(requests), done=sum(self._answering.is_known(each.key) for each in requests))
        asked = [each for each in requests if not self._answering.is_known(each.key)]
        assert asked, one.item.key  # else it was read before
        one.missing = len(asked)
        self._waiting |= dict.fromkeys((each.key for each in asked), one)
        for each in asked:
            self._asked += 1
            yield each

    def _hear(self, key: str, is_answered: bool) -> None:
        """Take note of one answer, or that there is none; read when there are enough."""
        with self._lock:
            one = self._waiting.pop(key)
            one.missing -= 1
            one.failed |= not is_answered
            if one.missing == 0 and one.failed:
                self._ended += 1
            elif one.missing == 0:
                self._whole.append(one)
            self._answered += 1
            if len(self._whole) >= self._enough:
                self._read_whole()

    def _read_whole(self) -> None:
        items, self._whole = self._whole, []
        self._read(items, is_asking=True)

    def _read(self, items: list[_Open], *, is_asking: bool) -> None:
        """Read what was answered to the last attempt of each, and to those after it where an earlier try has asked."""
        while items:
            said = [
                [self._answering.answer(key) for key in keys_of(self._config, one.item, one.item.attempts)]
                for one in items
            ]
            for one, answers in zip(items, said, strict=True):
                for answer in answers:
                    self._tally.add(answer, at=(one.item.attempts, one.number))
            read_answers(self._run, [one.item for one in items], said, self._readers)  # without words: none
            answered: list[_Open] = []
            for one in items:
                self.standings.put(one.number, one.item)
                if not self._is_due(one.item):
                    self._ended += is_asking
                elif self._is_answered(one.item):
                    self._run.progress.more(known := len(keys_of(self._config, one.item, one.item.attempts)), known)
                    answered.append(one)
                elif is_asking:
                    self._again.append(one)
            items = answered


def _several(items: Iterator[_Open]) -> Iterator[list[_Open]]:
    while some := list(islice(items, READ_AT_ONCE)):
        yield some
