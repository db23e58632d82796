"""Thoughts cut out of what lm-eval's own back ends generate, by ids, as lidr's engines do it. In the worker process.

lm-eval's `think_end_token` cuts what stands before a closing mark, and leaves a thought that was never closed as the
answer. With both, such a thought is an empty answer, and stop strings do not end a thought.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

from lm_eval.api.model import LM

from lidr.reasoning import Answer, ThoughtReader


def cut_thoughts(lm: LM, parser: str = "auto", *, ends: Collection[int], is_hf: bool = True) -> None:
    """Let one of lm-eval's models, hf or vllm, answer without its thoughts; nothing changes for one without marks.

    Args:
        lm: its way to generate is replaced.
        parser: see `ThoughtReader.of`.
        ends: ids that end an answer.
        is_hf: it is hf, else vllm.
    """
    reader = ThoughtReader.of(lm.tokenizer, parser)
    if reader is None:
        return
    lm.think_end_token = reader.marks.closes
    generate, over = lm._model_generate, {*ends, lm.tokenizer.pad_token_id, lm.eot_token_id}

    def decode(ids: Sequence[int]) -> str:
        text: str = lm.tokenizer.decode(ids, skip_special_tokens=True)
        return text

    def read(prompt: Sequence[int], new: Sequence[int]) -> Answer | None:
        end = next((at for at, one in enumerate(new) if one in over), len(new))
        return reader.read(prompt, new[:end], decode)

    lm._model_generate = (_of_hf if is_hf else _of_vllm)(lm, generate, read)


Read = Callable[[Sequence[int], Sequence[int]], Answer | None]


def _of_hf(lm: Any, generate: Callable[..., Any], read: Read) -> Callable[..., Any]:
    """Rows of ids, (batch, prompt and answer): what is left of an answer moves to its front."""

    def without(context: Any, *words: Any, **named: Any) -> Any:
        rows = generate(context, *words, **named)
        width = context.shape[1]
        for row in rows:
            answer = read(row[:width].tolist(), row[width:].tolist())
            if answer is not None:
                row[width:] = lm.tokenizer.pad_token_id
                row[width : width + len(answer.ids)] = row.new_tensor(answer.ids)
        return rows

    return without


def _of_vllm(lm: Any, generate: Callable[..., Any], read: Read) -> Callable[..., Any]:
    """vLLM's outputs, each with its text."""

    def without(requests: Any, *words: Any, **named: Any) -> Any:
        outputs = generate(requests, *words, **named)
        for output in outputs:
            said = output.outputs[0]
            if (answer := read(output.prompt_token_ids, said.token_ids)) is not None:
                said.text = answer.text
        return outputs

    return without
