"""The engine of CPU users and of tests: a model loaded with transformers that answers in length-sorted batches.

Runs inside a worker process: see lidr/engines/process/.
"""

from __future__ import annotations

import inspect
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import takewhile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoConfig, DynamicCache, GenerationConfig
from transformers.cache_utils import DynamicLayer

from lidr.engines.arrivals import WINDOW, Arrivals
from lidr.engines.chat import ChatTokenizer, Prompt, sort_out
from lidr.engines.decoding import PresencePenalty, RepetitionPenalty, SeededChoice, StopStrings
from lidr.engines.engine import ChatRequest, Completion, Engine, EngineSpec, Failure, Sampling
from lidr.engines.grouped_attention import use_grouped_attention
from lidr.engines.merging import PROBE, AdapterFolder, is_tied, put_over, without_effect
from lidr.engines.model_folder import ModelFolder
from lidr.errors import EngineError
from lidr.weights import logits, policy_class

_WORTH_SHARING = 32
"""Tokens of a beginning that are computed once for a batch."""


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
        self._limit = spec.longest or folder.context_length()
        self._batch = spec.batch
        self._model: Any = _load(spec)
        if spec.adapter is not None:
            asked = self._chat.prompt_ids([{"role": "user", "content": PROBE}])
            self._model = _with_adapter(self._model, spec, Path(spec.adapter), asked)
        self._shares = _can_share(self._model)

    def generate(self, requests: Iterable[ChatRequest | None]) -> Iterator[Completion | Failure]:
        """Answer batch by batch, of some thousand requests the longest prompts first: batches are of equal length, and
        one that is too large for the memory fails at once.
        """
        pending = Arrivals(requests)
        while window := pending.take(WINDOW):
            prompts, too_long = sort_out(window, self._chat, self._limit)
            yield from too_long
            for batch in _batches(prompts, self._batch):
                yield from self._answer(batch)

    def close(self) -> None:
        """Let go of the model."""
        self._model = None

    @torch.inference_mode()
    def _answer(self, batch: Sequence[Prompt]) -> list[Completion]:
        sampling = batch[0].request.sampling  # equal in the whole batch but for the seed
        try:
            inputs = self._inputs(batch)
            mask, width = inputs["attention_mask"], inputs["input_ids"].shape[1]
            stops = [StopStrings(self._chat, sampling.stop, prompt_width=width)] if sampling.stop else []
            out = self._model.generate(
                **inputs,
                generation_config=self._greedy(sampling.max_tokens),
                logits_processor=processors(sampling, mask, seeds=[prompt.request.sampling.seed for prompt in batch]),
                stopping_criteria=stops,
            )
        except torch.OutOfMemoryError as error:
            raise EngineError(
                f"a batch of {len(batch)} does not fit into memory: lower runtime.engine_batch"
            ) from error
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

    def _inputs(self, batch: Sequence[Prompt]) -> dict[str, Any]:
        """What `generate` takes of a batch: ids and mask, both (batch, width), padded before what is each prompt's own,
        and the keys and values of what is computed once.
        """
        shared = _shared_tokens(batch) if self._shares else 0
        own = [prompt.ids[shared:] for prompt in batch]
        width, beginning = max(map(len, own)), batch[0].ids[:shared]
        ids = [[*beginning, *[self._chat.pad_id] * (width - len(rest)), *rest] for rest in own]
        mask = [[1] * shared + [0] * (width - len(rest)) + [1] * len(rest) for rest in own]
        device = self._model.device
        inputs: dict[str, Any] = {
            "input_ids": torch.tensor(ids, device=device),
            "attention_mask": torch.tensor(mask, device=device),
        }
        rows = _first_rows(batch) if self._shares and width > _WORTH_SHARING else [*range(len(batch))]
        if shared or len({*rows}) < len(batch):
            inputs["past_key_values"] = self._computed_once(**inputs, shared=shared, rows=rows)
        return inputs

    def _computed_once(
        self, input_ids: Tensor, attention_mask: Tensor, *, shared: int, rows: Sequence[int]
    ) -> DynamicCache:
        """Keys and values of the beginning that all share, and of a prompt that is asked several times, all of it but
        its last token: its answers come from that.

        Args:
            input_ids: (batch, width).
            attention_mask: (batch, width).
            shared: tokens of the beginning.
            rows: for each row of the batch the first with its prompt.
        """
        cache = DynamicCache(config=self._model.config)
        asked, last = sorted({*rows}), input_ids.shape[1] - 1
        if shared:
            self._model.base_model(input_ids=input_ids[:1, :shared], past_key_values=cache)
            cache.batch_repeat_interleave(len(asked))
        if len(asked) < len(rows) and last > shared:
            mask = attention_mask[asked, :last]
            positions = (mask.cumsum(1) - 1).clamp(min=0)[:, shared:]
            ids = input_ids[asked, shared:last]
            self._model.base_model(input_ids=ids, attention_mask=mask, position_ids=positions, past_key_values=cache)
        if len(asked) < len(rows):
            cache.batch_select_indices(torch.tensor([asked.index(row) for row in rows], device=input_ids.device))
        return cache


def _load(spec: EngineSpec) -> Any:
    trusted = {"local_files_only": True, "trust_remote_code": spec.trust_remote_code}
    use_grouped_attention()
    kind = policy_class(AutoConfig.from_pretrained(spec.model, **trusted))
    model = kind.from_pretrained(spec.model, dtype=getattr(torch, spec.dtype), use_safetensors=True, **trusted)
    # A model's own generation_config may ask for sampling and penalties; the recipe alone decides on those.
    model.generation_config = GenerationConfig()
    return model.to(_device()).eval()


def _with_adapter(model: Any, spec: EngineSpec, adapter: Path, asked: Sequence[int]) -> Any:
    """The model with the adapter's layers in it, and not merged; refused where they change nothing that it says.

    Args:
        model: as it was loaded; it is changed.
        asked: ids of a prompt that it is asked with and without the adapter.
    """
    found = AdapterFolder(adapter)
    found.check_over(spec.kind)
    before = logits(model, asked)
    over = put_over(model, found, tied=is_tied(model))
    if torch.equal(logits(over, asked), before):
        raise without_effect(found, Path(spec.model))
    return over.get_base_model()


def _device() -> str:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def processors(sampling: Sampling, mask: Tensor, *, seeds: Sequence[int]) -> list[Any]:
    """What `sampling` wants beyond greedy search; `mask` is (batch, prompt)."""
    found: list[Any] = []
    if sampling.repetition_penalty != 1.0:
        found.append(RepetitionPenalty(sampling.repetition_penalty, mask))
    if sampling.presence_penalty:
        found.append(PresencePenalty(sampling.presence_penalty, prompt_width=mask.shape[1]))
    if sampling.temperature > 0:
        found.append(SeededChoice.of(sampling, seeds))
    return found


def _can_share(model: Any) -> bool:
    """Whether padding may stand after a beginning that prompts share: where each layer sees all that stands before, by
    positions that it is told. A window counts the padding, a state runs through it, and some rotations of positions
    depend on the length of the whole.
    """
    is_text = model.config.get_text_config() is model.config
    is_told = "position_ids" in inspect.signature(model.forward).parameters
    rotation = (getattr(model.config, "rope_parameters", None) or {}).get("rope_type")
    layers = DynamicCache(config=model.config).layers
    sees_all = all(type(layer) is DynamicLayer for layer in layers)
    return is_text and is_told and sees_all and rotation not in ("dynamic", "longrope")


def _shared_tokens(batch: Sequence[Prompt]) -> int:
    """How many tokens all prompts begin with; 0 where they are too few to be worth a pass of their own. At least one
    token is each prompt's own: its answer comes from that.
    """
    if len(batch) == 1:
        return 0
    places = zip(*(prompt.ids[:-1] for prompt in batch), strict=False)
    shared = sum(1 for _ in takewhile(lambda tokens: len(set(tokens)) == 1, places))
    return shared if shared >= _WORTH_SHARING else 0


def _first_rows(batch: Sequence[Prompt]) -> list[int]:
    """For each prompt the first of its batch with the same tokens: several samples of an answer begin there."""
    first: dict[tuple[int, ...], int] = {}
    return [first.setdefault(tuple(prompt.ids), row) for row, prompt in enumerate(batch)]


def _batches(prompts: Iterable[Prompt], size: int) -> Iterator[list[Prompt]]:
    """Yield batches of one kind of sampling each, the longest prompts first."""
    groups: defaultdict[Sampling, list[Prompt]] = defaultdict(list)
    for prompt in prompts:
        groups[replace(prompt.request.sampling, seed=0)].append(prompt)
    for group in groups.values():
        group.sort(key=lambda prompt: len(prompt.ids), reverse=True)
        for start in range(0, len(group), size):
            yield group[start : start + size]
