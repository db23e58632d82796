"""The parts of decoding that `generate` of transformers lacks or ties to the batch.

Each is per row: an answer is the same whatever it is batched with, left padding included.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import LogitsProcessor, StoppingCriteria

from lidr.engines.chat import ChatTokenizer, cut_at_stop
from lidr.engines.engine import Sampling


class RepetitionPenalty(LogitsProcessor):  # type: ignore[misc]  # transformers is untyped here
    """The penalty of transformers and vLLM, prompt included, but blind to padding.

    The stock class penalises the padding token in padded rows, and in many models that token also ends the answer.
    """

    def __init__(self, penalty: float, attention_mask: Tensor) -> None:
        self._penalty, self._mask = penalty, attention_mask  # (batch, prompt)
        self._seen: Tensor | None = None  # (batch, vocabulary), bool

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Penalise the tokens seen so far; both tensors are (batch, ...)."""
        if self._seen is None:
            counts = torch.zeros_like(scores, dtype=torch.long).scatter_add_(1, input_ids, self._mask)
            self._seen = counts > 0
        else:
            self._seen.scatter_(1, input_ids[:, -1:], True)
        penalised = torch.where(scores > 0, scores / self._penalty, scores * self._penalty)
        return torch.where(self._seen, penalised, scores)


class SeededChoice(LogitsProcessor):  # type: ignore[misc]
    """Draw each row's next token with that row's own generator, and leave only it; greedy search then takes it.

    The sampling of `generate` draws from one generator for the whole batch, so its answers depend on batch and order.
    """

    def __init__(
        self, seeds: Sequence[int], *, temperature: float, top_p: float = 1.0, top_k: int = 0, min_p: float = 0.0
    ) -> None:
        self._draws = [random.Random(seed) for seed in seeds]
        self._temperature, self._top_p, self._top_k, self._min_p = temperature, top_p, top_k, min_p

    @classmethod
    def of(cls, sampling: Sampling, seeds: Sequence[int]) -> SeededChoice:
        """As a request says it."""
        return cls(
            seeds,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            top_k=sampling.top_k,
            min_p=sampling.min_p,
        )

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return scores, (batch, vocabulary), that are -inf but for the drawn token."""
        probabilities, order = (scores / self._temperature).softmax(-1).sort(stable=True, dim=-1, descending=True)
        probabilities = self._cut(probabilities)
        up_to = probabilities.cumsum(-1)
        kept = (up_to - probabilities) < self._top_p  # the token that crosses top_p is kept
        mass = (probabilities * kept).sum(-1, keepdim=True)
        draws = torch.tensor([[draw.random()] for draw in self._draws], dtype=scores.dtype, device=scores.device)
        place = torch.searchsorted(up_to, draws * mass, right=True).minimum(kept.sum(-1, keepdim=True) - 1)
        return torch.full_like(scores, -torch.inf).scatter_(1, order.gather(1, place), 0.0)

    def _cut(self, probabilities: Tensor) -> Tensor:
        """Leave out what `min_p` and `top_k` leave out; both (batch, vocabulary), the likeliest first, summing to 1."""
        if not self._min_p and not self._top_k:
            return probabilities
        least = self._min_p * probabilities[:, :1]
        if 0 < self._top_k < probabilities.shape[1]:  # equally likely tokens stay in together
            least = torch.maximum(least, probabilities[:, self._top_k - 1 : self._top_k])
        kept = torch.where(probabilities >= least, probabilities, 0.0)
        return kept / kept.sum(-1, keepdim=True)


class PresencePenalty(LogitsProcessor):  # type: ignore[misc]
    """Subtract the penalty from the logits of tokens that the answer, not the prompt, holds already."""

    def __init__(self, penalty: float, *, prompt_width: int) -> None:
        self._penalty, self._width = penalty, prompt_width

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Both tensors are (batch, ...)."""
        held = torch.zeros_like(scores, dtype=torch.bool).scatter_(1, input_ids[:, self._width :], True)
        return torch.where(held, scores - self._penalty, scores)


class StopStrings(StoppingCriteria):  # type: ignore[misc]
    """End a row as soon as its text holds a stop string.

    Only a tail is decoded at each step: a stop string of n bytes spans at most n tokens.
    """

    def __init__(self, chat: ChatTokenizer, stop: Sequence[str], *, prompt_width: int) -> None:
        self._chat, self._stop, self._width = chat, stop, prompt_width
        self._tail = max(len(text.encode()) for text in stop)
        self.ends: dict[int, int] = {}  # row -> tokens generated when its stop string was complete

    def __call__(self, input_ids: Tensor, scores: Any, **_: Any) -> Tensor:
        """Say for each row, (batch,), whether it is done."""
        generated = input_ids.shape[1] - self._width
        tails = input_ids[:, -min(self._tail, generated) :].tolist()
        for row, tail in enumerate(tails):
            if row not in self.ends and cut_at_stop(self._chat.decode(tail), self._stop)[1]:
                self.ends[row] = generated
        return torch.tensor([row in self.ends for row in range(len(tails))], device=input_ids.device)
