"""A sequence classifier by vLLM: token ids in, raw logits out, many texts at once. For a worker process of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lidr.engines.vllm.vllm_engine import set_environment


class VllmClassifier:
    """One vLLM with its pooling runner, over a model whose head is among its weights: see `lidr.steps.score`."""

    def __init__(
        self, model: str, *, dtype: str, longest: int, threads: int = 0, tensor_parallel: int = 1, gpu_memory: float
    ) -> None:
        """Load it; takes a minute or so.

        Args:
            model: folder of safetensors; no other file is read for weights, and no code that comes with it is run.
            dtype: of the weights; vLLM computes the head in float32.
            longest: most tokens of a text.
            threads: CPU threads; 0 lets vLLM choose.
            tensor_parallel: GPUs that share the model.
            gpu_memory: share of a GPU's memory, 0-1.

        Raises:
            ValueError, RuntimeError: vLLM does not load it.
        """
        set_environment(threads)
        import torch
        from vllm import LLM

        self._llm: Any = LLM(
            model=model,
            runner="pooling",
            dtype=dtype,  # type: ignore[arg-type, unused-ignore]
            max_model_len=longest,
            tensor_parallel_size=tensor_parallel,
            gpu_memory_utilization=gpu_memory,
            load_format="safetensors",
            trust_remote_code=False,
            enforce_eager=not torch.cuda.is_available(),  # compiling takes longer than it saves on a CPU
            disable_log_stats=True,
        )
        config = self._llm.model_config
        takes_last = config.pooler_config.get_seq_pooling_type() == "LAST"
        self._padding = config.hf_config.get_text_config().pad_token_id if takes_last else None

    def logits(self, texts: Sequence[Sequence[int]]) -> list[list[float]]:
        """The logits of each text, in their order, without softmax or sigmoid.

        transformers takes those of the last token that is no padding, vLLM those of the last one: padding at the end,
        which is what some templates end with, is left out.
        """
        from vllm import PoolingParams, TokensPrompt

        prompts = [TokensPrompt(prompt_token_ids=self._unpadded(text)) for text in texts]
        raw = PoolingParams(use_activation=False)
        return [list(one.outputs.probs) for one in self._llm.classify(prompts, pooling_params=raw, use_tqdm=False)]

    def close(self) -> None:
        """End vLLM's own processes."""
        self._llm.llm_engine.engine_core.shutdown()

    def _unpadded(self, text: Sequence[int]) -> list[int]:
        end = len(text)
        while end > 1 and text[end - 1] == self._padding:
            end -= 1
        return list(text[:end])
