"""The engine of CPU users and of tests: a model loaded with transformers that answers in length-sorted batches.

Runs inside a worker process: see lidr/engines/process/.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, GenerationConfig

from lidr.engines.chat import ChatTokenizer, Prompt, sort_out
from lidr.engines.decoding import RepetitionPenalty, SeededChoice, StopStrings
from lidr.engines.engine import ChatRequest, Completion, Engine, EngineSpec, Failure, Sampling
from lidr.engines.model_folder import ModelFolder
from lidr.errors import EngineError


class TransformersEngine(Engine):
    """A causal language model in this process, on the GPU if there is one, else on the CPU."""

    def __init__(self, spec: EngineSpec) -> None:
        """Load the model.

        Raises:
            EngineError: the folder holds no model that can be loaded and asked.
        """
        folder = ModelFolder(Path(spec.model))
        folder.check()
        if spec.threads:
            torch.set_num_threads(spec.threads)
        self._chat = ChatTokenizer.of(spec)
        self._limit = spec.max_model_len or folder.context_length()
        self._batch = spec.batch
        self._model: Any = _load(spec)

    def generate(self, requests: Iterable[ChatRequest]) -> Iterator[Completion | Failure]:
        """Answer batch by batch, the longest prompts first, so that a batch too large for the memory fails at once."""
        prompts, too_long = sort_out(requests, self._chat, self._limit)
        yield from too_long
        for batch in _batches(prompts, self._batch):
            yield from self._answer(batch)

    def close(self) -> None:
        """Let go of the model."""
        self._model = None

    @torch.inference_mode()
    def _answer(self, batch: Sequence[Prompt]) -> list[Completion]:
        sampling = batch[0].request.sampling  # equal in the whole batch but for the seed
        ids, mask = self._pad_left(batch)
        width = ids.shape[1]
        stops = [StopStrings(self._chat, sampling.stop, prompt_width=width)] if sampling.stop else []
        try:
            out = self._model.generate(
                input_ids=ids,
                attention_mask=mask,
                generation_config=self._greedy(sampling.max_tokens),
                logits_processor=processors(sampling, mask, seeds=[prompt.request.sampling.seed for prompt in batch]),
                stopping_criteria=stops,
            )
        except torch.OutOfMemoryError as error:
            raise EngineError(f"a batch of {len(batch)} does not fit into memory: lower runtime.batch") from error
        ends = stops[0].ends if stops else {}
        rows = enumerate(zip(batch, out[:, width:].tolist(), strict=True))
        return [self._chat.complete(prompt, new[: ends.get(row)], "length") for row, (prompt, new) in rows]

    def _greedy(self, max_tokens: int) -> GenerationConfig:
        """Greedy search and nothing else: what more is wanted comes from our own processors."""
        return GenerationConfig(
            max_new_tokens=max_tokens,
            do_sample=False,
            eos_token_id=sorted(self._chat.end_ids) or None,
            pad_token_id=self._chat.pad_id,
        )

    def _pad_left(self, batch: Sequence[Prompt]) -> tuple[Tensor, Tensor]:
        """Return ids and mask, both (batch, longest prompt)."""
        width = max(len(prompt.ids) for prompt in batch)
        gaps = [width - len(prompt.ids) for prompt in batch]
        ids = [[self._chat.pad_id] * gap + list(prompt.ids) for gap, prompt in zip(gaps, batch, strict=True)]
        mask = [[0] * gap + [1] * (width - gap) for gap in gaps]
        device = self._model.device
        return torch.tensor(ids, device=device), torch.tensor(mask, device=device)


def _load(spec: EngineSpec) -> Any:
    model = AutoModelForCausalLM.from_pretrained(
        spec.model,
        dtype=getattr(torch, spec.dtype),
        local_files_only=True,
        use_safetensors=True,
        trust_remote_code=spec.trust_remote_code,
    )
    # A model's own generation_config may ask for sampling and penalties; the recipe alone decides on those.
    model.generation_config = GenerationConfig()
    return model.to(_device()).eval()


def _device() -> str:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def processors(sampling: Sampling, mask: Tensor, *, seeds: Sequence[int]) -> list[Any]:
    """What `sampling` wants beyond greedy search; `mask` is (batch, prompt)."""
    found: list[Any] = []
    if sampling.repetition_penalty != 1.0:
        found.append(RepetitionPenalty(sampling.repetition_penalty, mask))
    if sampling.temperature > 0:
        found.append(SeededChoice(seeds, temperature=sampling.temperature, top_p=sampling.top_p))
    return found


def _batches(prompts: Iterable[Prompt], size: int) -> Iterator[list[Prompt]]:
    """Yield batches of one kind of sampling each, the longest prompts first."""
    groups: defaultdict[Sampling, list[Prompt]] = defaultdict(list)
    for prompt in prompts:
        groups[replace(prompt.request.sampling, seed=0)].append(prompt)
    for group in groups.values():
        group.sort(key=lambda prompt: len(prompt.ids), reverse=True)
        for start in range(0, len(group), size):
            yield group[start : start + size]
