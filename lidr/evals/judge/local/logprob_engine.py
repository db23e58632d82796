"""The transformers engine with log-probabilities: what a judge needs besides the text. Runs inside a worker process."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor
from transformers import LogitsProcessor

from lidr.engines import ChatRequest, Completion, Prompt, Sampling, TransformersEngine, processors, sort_out


class Asked(NamedTuple):
    """A request, and how many of the likeliest tokens are wanted at each step; None for no log-probabilities."""

    request: ChatRequest
    top: int | None


class Step(NamedTuple):
    """One generated token, and the likeliest ones in its place; log-probabilities in nats, before any temperature."""

    token: str
    logprob: float
    top: list[tuple[str, float]]


class Answered(NamedTuple):
    """An answer and, where wanted, its steps."""

    completion: Completion
    steps: list[Step] | None


class _Recorder(LogitsProcessor):  # type: ignore[misc]  # transformers is untyped here
    """Notes the model's own log-probabilities; changes nothing."""

    def __init__(self, top: int) -> None:
        self._top, self._last = top, torch.empty(0)
        self.likeliest: list[tuple[Tensor, Tensor]] = []  # each step: log-probabilities and ids, both (batch, top)
        self.chosen: list[Tensor] = []  # each step: (batch,)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Both tensors are (batch, ...)."""
        if self.likeliest:
            self.choose(input_ids[:, -1])
        self._last = scores.float().log_softmax(-1)
        values, ids = self._last.topk(max(1, self._top), dim=-1)
        self.likeliest.append((values, ids))
        return scores

    def choose(self, ids: Tensor) -> None:
        """Note the log-probability of the tokens, (batch,), that were taken."""
        self.chosen.append(self._last.gather(1, ids[:, None])[:, 0])


class ScoringEngine(TransformersEngine):
    """Answers a few requests together; those too long for the model come back as `prompt_too_long`."""

    def answer(self, asked: Sequence[Asked]) -> list[Answered]:
        """Answer in the given order.

        Raises:
            EngineError: the chat template refuses a conversation.
        """
        named = [Asked(replace(one.request, key=str(at)), one.top) for at, one in enumerate(asked)]
        prompts, too_long = sort_out([one.request for one in named], self._chat, self._limit)
        answers = {completion.key: Answered(completion, None) for completion in too_long}
        for batch, top in _alike(prompts, named):
            for answered in self._answer_together(batch, top):
                answers[answered.completion.key] = answered
        return [answers[one.request.key] for one in named]

    @torch.inference_mode()
    def _answer_together(self, batch: Sequence[Prompt], top: int | None) -> list[Answered]:
        sampling = batch[0].request.sampling
        inputs = self._inputs(batch)
        recorder = None if top is None else _Recorder(top)
        made = processors(sampling, inputs["attention_mask"], seeds=[prompt.request.sampling.seed for prompt in batch])
        out = self._model.generate(
            **inputs,
            generation_config=self._greedy(sampling.max_tokens),
            logits_processor=made if recorder is None else [recorder, *made],
        )
        if recorder is not None:
            recorder.choose(out[:, -1])
        answers = []
        for row, (prompt, new) in enumerate(zip(batch, out[:, inputs["input_ids"].shape[1] :].tolist(), strict=True)):
            completion = self._chat.complete(prompt, new, "length")
            answers.append(
                Answered(completion, None if recorder is None else self._steps(recorder, row, new, top or 0))
            )
        return answers

    def _steps(self, recorder: _Recorder, row: int, new: Sequence[int], top: int) -> list[Step]:
        steps = []
        for (values, ids), chosen, token in zip(recorder.likeliest, recorder.chosen, new, strict=True):
            pairs = zip(ids[row, :top].tolist(), values[row, :top].tolist(), strict=True)
            steps.append(Step(self._name(token), float(chosen[row]), [(self._name(i), v) for i, v in pairs]))
            if token in self._chat.end_ids:
                break
        return steps

    def _name(self, token: int) -> str:
        """A token as text; special ones by their names, which `decode` of chats leaves out."""
        tokenizer: Any = self._chat._tokenizer
        return str(tokenizer.decode([token], clean_up_tokenization_spaces=False))


def _alike(prompts: Sequence[Prompt], asked: Sequence[Asked]) -> Iterator[tuple[list[Prompt], int | None]]:
    """Groups that one pass can answer: of one kind of sampling and one number of likeliest tokens."""
    top_of = {one.request.key: one.top for one in asked}
    groups: defaultdict[tuple[Sampling, int | None], list[Prompt]] = defaultdict(list)
    for prompt in prompts:
        groups[replace(prompt.request.sampling, seed=0), top_of[prompt.request.key]].append(prompt)
    for (_, top), group in groups.items():
        yield group, top
