"""How long a replica at work may say nothing before it is taken for one that hangs.

The slowest finished chunk tells. It took t seconds for k requests, with answers of up to n tokens to prompts of up to p
characters: so a token of its longest answer took t / n at most, and a character of its longest prompt t / p. Who has to
answer prompts of up to q characters with up to m tokens (`max_tokens`) says something, at the same speed, within

    t (m / n + q / p), and in proportion later where more than k requests are answered at once.

FACTOR times that is waited, since another node may be slower and a long answer slows down, and never less than LEAST_S.
Before a chunk has finished nothing is known, and nobody is ended.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass

from lidr.engines.replicas.chunks import Chunk, longest_prompt

FACTOR = 20
LEAST_S = 600.0
TELL_S = 1800.0
"""After so much silence a replica that may still work is told of, once."""


@dataclass
class Patience:
    """What the slowest finished chunk took; infinite before one has finished, or where no answer says its tokens."""

    took_s: float = 0.0
    per_token_s: float = float("inf")
    per_character_s: float = float("inf")
    requests: int = 1

    def learn(self, chunk: Chunk) -> None:
        """Take note of a chunk that a replica has just finished."""
        took_s = time.monotonic() - chunk.given_at
        if chunk.tokens and took_s > self.took_s:
            self.took_s, self.requests = took_s, chunk.given
            self.per_token_s, self.per_character_s = took_s / chunk.tokens, took_s / chunk.characters

    def limit_s(self, chunks: Iterable[Chunk]) -> float:
        """How long a replica that has these may be silent, seconds."""
        return max([LEAST_S, *(FACTOR * self._longest_s(chunk) for chunk in chunks if chunk.waiting)])

    def _longest_s(self, chunk: Chunk) -> float:
        tokens = max(request.sampling.max_tokens for request in chunk.waiting.values())
        at_once = max(1.0, len(chunk.waiting) / self.requests)
        return at_once * (tokens * self.per_token_s + longest_prompt(chunk.waiting.values()) * self.per_character_s)
