"""Which question is where: a stream of requests cut into chunks, and what becomes of chunks whose replica died."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import count

from lidr.engines.arrivals import Arrivals
from lidr.engines.engine import ChatRequest, Completion, Failure

MOST_DEATHS = 3
"""So often a replica may die over one chunk; then the chunk is halved, and a single request is given up."""


@dataclass
class Chunk:
    """Requests that travel together.

    Args:
        number: its own, never used again.
        waiting: name on the way -> the request, for those without an answer.
        deaths: replicas that died while it was with them. One that has any travels alone, so that the next death is
            known to be its own.
        given, given_at, characters, tokens: of its last way to a replica: how many requests, when (`time.monotonic`),
            the length of the longest prompt, and that of the longest answer so far.
    """

    number: int
    waiting: dict[str, ChatRequest]
    deaths: int = 0
    given: int = 0
    given_at: float = 0.0
    characters: int = 0
    tokens: int = 0

    def load(self) -> list[ChatRequest]:
        """The requests under their names on the way, which begins now."""
        self.given, self.given_at, self.tokens = len(self.waiting), time.monotonic(), 0
        self.characters = longest_prompt(self.waiting.values())
        return [replace(request, key=name) for name, request in self.waiting.items()]

    def settle(self, answer: Completion | Failure) -> Completion | Failure | None:
        """The answer under its request's own key; None where the request has one already."""
        if isinstance(answer, Completion):
            self.tokens = max(self.tokens, answer.completion_tokens)
        request = self.waiting.pop(answer.key, None)
        return None if request is None else replace(answer, key=request.key)


def longest_prompt(requests: Iterable[ChatRequest]) -> int:
    """Characters of the longest one, at least 1."""
    return max((1, *(sum(len(message["content"]) for message in one.messages) for one in requests)))


@dataclass
class Chunks:
    """Hands out chunks, each request in one at a time. It reads ahead no further than it needs to share fairly.

    Args:
        requests: the stream.
        largest: requests of a chunk.
        smallest: what chunks shrink to towards the end, so that no replica waits for another.
    """

    requests: Iterable[ChatRequest | None]
    largest: int
    smallest: int = 1
    _ahead: deque[ChatRequest] = field(default_factory=deque)
    _again: deque[Chunk] = field(default_factory=deque)
    _suspects: deque[Chunk] = field(default_factory=deque)

    def __post_init__(self) -> None:
        self._source = Arrivals(self.requests)
        self._numbers, self._names = count(), count()

    def take(self, *, replicas: int, is_idle: bool) -> Chunk | None:
        """The next chunk for a replica.

        Args:
            replicas: how many share the work.
            is_idle: it has nothing else to do. Only such a one gets a chunk over which a replica died, and while there
                is one, nobody gets a second chunk.

        Returns:
            None where there is nothing for it now.
        """
        if self._suspects:
            return self._suspects.popleft() if is_idle else None
        if self._again:
            return self._again.popleft()
        wanted = 2 * replicas * self.largest
        self._ahead.extend(self._source.take(max(0, wanted - len(self._ahead)), waits=False))
        share = -(-len(self._ahead) // (2 * replicas))
        size = min(len(self._ahead), self.largest, max(self.smallest, share))
        return self._chunk([self._ahead.popleft() for _ in range(size)]) if size else None

    @property
    def is_empty(self) -> bool:
        """Whether nothing is left to hand out, nor will be."""
        if not self._ahead:
            self._ahead.extend(self._source.take(1, waits=False))
        return self._source.is_over and not (self._ahead or self._again or self._suspects)

    def give_back(self, chunk: Chunk, *, is_blamed: bool, why: str = "") -> Iterator[Failure]:
        """Take what a lost replica leaves unanswered.

        Args:
            chunk: it.
            is_blamed: whether it may be what killed the replica; a node that Ray knew would go is nobody's fault.
            why: what is known of the death.

        Yields:
            What is given up.
        """
        chunk.deaths += is_blamed
        if not chunk.waiting:
            return
        if chunk.deaths == 0:
            self._again.append(chunk)
        elif chunk.deaths < MOST_DEATHS:
            self._suspects.append(chunk)
        elif len(chunk.waiting) == 1:
            (request,) = chunk.waiting.values()
            yield Failure(
                request.key, f"{chunk.deaths} replicas died while they answered it{f': {why}' if why else ''}"
            )
        else:
            half = len(chunk.waiting) // 2
            requests = [*chunk.waiting.values()]
            for part in (requests[:half], requests[half:]):
                self._suspects.append(self._chunk(part, deaths=MOST_DEATHS - 1))

    def _chunk(self, requests: Iterable[ChatRequest], deaths: int = 0) -> Chunk:
        return Chunk(next(self._numbers), {str(next(self._names)): request for request in requests}, deaths)
