"""The engine that only translates: an encoder-decoder of transformers (M2M100, NLLB, mBART-50, MADLAD, Marian).

    request   direction ("en", "fr"), one message: the text        "Bees make honey."
    encoder   the source's token, the text                          __en__ Bees make honey. </s>
    decoder   the target's token, then what the model writes        __fr__ Les abeilles font du miel. </s>

It has no chat, no system prompt and no prefill. Runs inside a worker process: see lidr/engines/process/.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer, GenerationConfig

from lidr.engines.arrivals import WINDOW, Arrivals
from lidr.engines.decoding import PresencePenalty, RepetitionPenalty, SeededChoice
from lidr.engines.engine import ChatRequest, Completion, Engine, EngineSpec, Failure, Sampling
from lidr.engines.model_folder import ModelFolder
from lidr.engines.translation_codes import language_tokens
from lidr.errors import EngineError


@dataclass(frozen=True)
class _Source:
    """A request and the token ids of its source text."""

    request: ChatRequest
    ids: list[int]


class Seq2SeqEngine(Engine):
    """A translation model in this process, on the GPU if there is one, else on the CPU."""

    def __init__(self, spec: EngineSpec) -> None:
        """Load the model.

        Raises:
            EngineError: the folder holds no model that translates between languages it can be told.
        """
        folder = ModelFolder(Path(spec.model))
        folder.check()
        if spec.threads:
            torch.set_num_threads(spec.threads)
        self._spec = spec
        self._tokenizer: Any = AutoTokenizer.from_pretrained(spec.model, local_files_only=True, trust_remote_code=False)
        self._languages = language_tokens(self._tokenizer, model=spec.model, own=spec.codes)
        self._model: Any = _load(spec)
        self._fixed = _fixed(self._model)
        self._limit = spec.longest or folder.context_length()

    def generate(self, requests: Iterable[ChatRequest | None]) -> Iterator[Completion | Failure]:
        """Translate in batches of one direction and one kind of sampling, of some thousand the longest texts first."""
        pending = Arrivals(requests)
        while window := pending.take(WINDOW):
            yield from self._answer(window)

    def _answer(self, requests: Sequence[ChatRequest]) -> Iterator[Completion]:
        groups: defaultdict[tuple[tuple[str, str], Sampling], list[_Source]] = defaultdict(list)
        for request in requests:
            source = self._source(request)
            if self._limit is not None and len(source.ids) > self._limit:
                yield Completion(request.key, "", "prompt_too_long", len(source.ids), 0)
            else:
                groups[_direction(request), replace(request.sampling, seed=0)].append(source)
        for (direction, sampling), sources in groups.items():
            sources.sort(key=lambda source: len(source.ids), reverse=True)
            for start in range(0, len(sources), self._spec.batch):
                yield from self._translate(sources[start : start + self._spec.batch], direction[1], sampling)

    def close(self) -> None:
        """Let go of the model."""
        self._model = None

    def _source(self, request: ChatRequest) -> _Source:
        source, target = _direction(request)
        text = request.messages[0]["content"]
        if self._languages.family.tells == "text":
            text = f"{self._languages.token(target)} {text}"
        else:
            self._tokenizer.src_lang = self._languages.code(source)
        return _Source(request, self._tokenizer(text)["input_ids"])

    @torch.inference_mode()
    def _translate(self, sources: Sequence[_Source], target: str, sampling: Sampling) -> list[Completion]:
        ids, mask = self._pad_right(sources)
        begins = self._languages.token_id(target) if self._languages.family.tells == "decoder" else None
        config = GenerationConfig(
            max_new_tokens=sampling.max_tokens + (begins is not None),
            num_beams=1 if sampling.temperature > 0 else self._spec.beams,
            do_sample=False,
            forced_bos_token_id=begins,
            **self._fixed,
        )
        try:
            out = self._model.generate(
                input_ids=ids,
                attention_mask=mask,
                generation_config=config,
                logits_processor=_processors(sampling, [source.request.sampling.seed for source in sources], ids),
            )
        except torch.OutOfMemoryError as error:
            raise EngineError(
                f"a batch of {len(sources)} does not fit into memory: lower runtime.engine_batch"
            ) from error
        skip = 1 + (begins is not None)  # the decoder's start and the language
        return [self._complete(source, new) for source, new in zip(sources, out[:, skip:].tolist(), strict=True)]

    def _complete(self, source: _Source, new: list[int]) -> Completion:
        ends = self._fixed["eos_token_id"]
        ends = {ends} if isinstance(ends, int) else set(ends)
        end = next((at for at, token in enumerate(new) if token in ends), None)
        ids = new if end is None else new[:end]
        return Completion(
            key=source.request.key,
            text=self._tokenizer.decode(ids, skip_special_tokens=True).strip(),
            finish_reason="length" if end is None else "stop",
            prompt_tokens=len(source.ids),
            completion_tokens=len(ids),
            token_ids=tuple(ids),
        )

    def _pad_right(self, sources: Sequence[_Source]) -> tuple[Tensor, Tensor]:
        """Return ids and mask, both (batch, longest text)."""
        width = max(len(source.ids) for source in sources)
        gaps = [width - len(source.ids) for source in sources]
        ids = [source.ids + [self._fixed["pad_token_id"]] * gap for gap, source in zip(gaps, sources, strict=True)]
        mask = [[1] * (width - gap) + [0] * gap for gap in gaps]
        device = self._model.device
        return torch.tensor(ids, device=device), torch.tensor(mask, device=device)


def _direction(request: ChatRequest) -> tuple[str, str]:
    if request.direction is None:
        raise EngineError("the engine 'seq2seq' only translates: it cannot answer prompts")
    return request.direction


def _load(spec: EngineSpec) -> Any:
    model = AutoModelForSeq2SeqLM.from_pretrained(
        spec.model,
        dtype=getattr(torch, spec.dtype),
        local_files_only=True,
        use_safetensors=True,
        trust_remote_code=False,
    )
    return model.to("cuda" if torch.cuda.is_available() else "cpu").eval()


def _fixed(model: Any) -> dict[str, Any]:
    """What belongs to the model and not to the recipe: its start, end and padding, and the tokens it must not write."""
    own, config = model.generation_config, model.config
    names = ("decoder_start_token_id", "eos_token_id", "pad_token_id", "bad_words_ids")
    found = {name: getattr(own, name, None) for name in names}
    found = {name: getattr(config, name, None) if value is None else value for name, value in found.items()}
    model.generation_config = GenerationConfig()  # its own may ask for beams, sampling and penalties
    missing = [name for name in names[:3] if found[name] is None]
    if missing:
        raise EngineError(f"the translation model's config lacks {', '.join(missing)}; complete its config.json")
    return found


def _processors(sampling: Sampling, seeds: Sequence[int], ids: Tensor) -> list[Any]:
    processors: list[Any] = []
    if sampling.repetition_penalty != 1.0:  # of what was generated: a decoder's prompt is its start token alone
        processors.append(RepetitionPenalty(sampling.repetition_penalty, torch.zeros_like(ids[:, :1])))
    if sampling.presence_penalty:
        processors.append(PresencePenalty(sampling.presence_penalty, prompt_width=1))
    if sampling.temperature > 0:
        processors.append(SeededChoice.of(sampling, seeds))
    return processors
