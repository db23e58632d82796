"""The engine of GPU users: one vLLM for all requests. Runs inside a worker process: see lidr/engines/process/.

vLLM gets token ids, not messages, so that every engine asks the model with the same prompts.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from lidr.engines.chat import ChatTokenizer, Prompt, sort_out
from lidr.engines.engine import ChatRequest, Completion, Engine, EngineSpec, Failure, Sampling
from lidr.engines.model_folder import ModelFolder


class VllmEngine(Engine):
    """One vLLM with continuous batching and prefix caching."""

    def __init__(self, spec: EngineSpec) -> None:
        """Load the model; takes a minute or so, most of it imports.

        Raises:
            EngineError: the folder holds no model that can be asked. What vLLM itself refuses, it raises as ValueError.
        """
        folder = ModelFolder(Path(spec.model))
        folder.check()
        self._chat = ChatTokenizer.of(spec)
        set_environment(spec.threads)
        self._llm: Any = _load(spec)
        self._limit: int = self._llm.model_config.max_model_len

    def generate(self, requests: Iterable[ChatRequest]) -> Iterator[Completion | Failure]:
        """Answer all requests together, each as soon as it is finished."""
        from vllm import TokensPrompt

        # Lengths come first: one prompt that is too long makes vLLM refuse the whole call.
        prompts, too_long = sort_out(requests, self._chat, self._limit)
        yield from too_long
        ids = self._llm.enqueue(
            [TokensPrompt(prompt_token_ids=list(prompt.ids)) for prompt in prompts],
            [self._params(prompt.request.sampling) for prompt in prompts],
            use_tqdm=False,
        )
        # enqueue gives "7-3f2a91c0" for the request that vLLM's outputs call "7".
        waiting = {name.partition("-")[0]: prompt for name, prompt in zip(ids, prompts, strict=True)}
        while waiting:
            for output in self._llm.llm_engine.step():
                if output.finished:
                    yield self._result(waiting.pop(output.request_id), output.outputs[0])

    def close(self) -> None:
        """Let go of the model; vLLM's own processes end with the worker's process group."""
        self._llm = None

    def _result(self, prompt: Prompt, answer: Any) -> Completion | Failure:
        if answer.finish_reason not in ("stop", "length"):
            return Failure(prompt.request.key, f"vLLM ended the answer with finish_reason {answer.finish_reason!r}")
        return self._chat.complete(prompt, answer.token_ids, answer.finish_reason)

    def _params(self, sampling: Sampling) -> Any:
        from vllm import SamplingParams

        return SamplingParams(
            max_tokens=sampling.max_tokens,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            repetition_penalty=sampling.repetition_penalty,
            seed=sampling.seed if sampling.temperature > 0 else None,
            stop=list(sampling.stop),
            stop_token_ids=sorted(self._chat.end_ids),
            detokenize=bool(sampling.stop),  # only to find stop strings; the text is decoded as for every engine
        )


def _load(spec: EngineSpec) -> Any:
    import torch
    from vllm import LLM

    return LLM(
        model=spec.model,
        dtype=spec.dtype,
        max_model_len=spec.max_model_len,
        tensor_parallel_size=spec.tensor_parallel,
        gpu_memory_utilization=spec.gpu_memory,
        enable_prefix_caching=True,
        generation_config="vllm",  # not the model's: the recipe alone decides on sampling
        trust_remote_code=spec.trust_remote_code,
        enforce_eager=not torch.cuda.is_available(),  # compiling takes longer than it saves on a CPU
        disable_log_stats=True,
    )


def set_environment(threads: int = 0) -> None:
    """Set what vLLM reads from the environment, unless the user has set it."""
    cores = sorted(os.sched_getaffinity(0))[: threads or None]
    for name, value in {
        "VLLM_NO_USAGE_STATS": "1",
        # A forked engine core would hold our pipe to the parent open, and the parent would never see us die.
        "VLLM_WORKER_MULTIPROC_METHOD": "spawn",
        "VLLM_CPU_OMP_THREADS_BIND": ",".join(map(str, cores)),
        "VLLM_CPU_KVCACHE_SPACE": str(_cache_gib()),
    }.items():
        os.environ.setdefault(name, value)


def _cache_gib() -> int:
    """A tenth of this machine's memory, 1 to 16 GiB: enough for a few dozen short chats of a small model."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min(16, max(1, total // 10 // 2**30))
