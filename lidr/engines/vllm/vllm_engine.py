"""The engine of GPU users: one vLLM for all requests. Runs inside a worker process: see lidr/engines/process/.

vLLM gets token ids, not messages, so that every engine asks the model with the same prompts. Each request is a task of
one event loop; as soon as one is answered the next is handed over, so the batch on the GPU stays full to the end.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Coroutine, Iterable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from lidr.engines.arrivals import Arrivals
from lidr.engines.chat import ChatTokenizer, Prompt, sort_out
from lidr.engines.engine import ChatRequest, Completion, Engine, EngineSpec, Failure, Sampling
from lidr.engines.merging import LORA_RANKS, PROBE, AdapterFolder, without_effect
from lidr.engines.model_folder import ModelFolder
from lidr.errors import EngineError

_HANDED_OVER = 4096
"""Requests that vLLM has at once. It works on some hundred and lets the others wait; each holds its prompt's ids."""
_LOOK_S = 5.0
"""While no answer comes, vLLM is asked this often whether it lives."""

_Result = Completion | Failure | BaseException


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
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        self._budget = spec.thinking_budget
        around = self._chat.around_thoughts if self._budget else None
        self._llm: Any = self._in_loop(_load(spec, around)).result()
        self._limit: int = self._llm.model_config.max_model_len
        self._asked = 0
        self._over: Any = None
        if spec.adapter is not None:
            self._over = self._in_loop(self._put_over(spec, Path(spec.adapter))).result()

    def generate(self, requests: Iterable[ChatRequest | None]) -> Iterator[Completion | Failure]:
        """Answer all requests, each as soon as it is finished; more are taken as these are answered."""
        pending, results = Arrivals(requests), SimpleQueue[_Result]()
        under_way: set[Future[Any]] = set()
        waiting = 0
        try:
            while True:
                for request in pending.take(_HANDED_OVER - waiting, waits=not waiting):
                    prompts, too_long = sort_out([request], self._chat, self._limit)
                    yield from too_long
                    for prompt in prompts:
                        task = self._in_loop(self._answer(prompt, results))
                        under_way.add(task)
                        task.add_done_callback(under_way.discard)
                        waiting += 1
                if not waiting:
                    if pending.is_over:
                        return
                    continue
                result = self._next(results)
                waiting -= 1
                if isinstance(result, BaseException):
                    raise result
                yield result
        finally:
            for task in tuple(under_way):
                task.cancel()

    def close(self) -> None:
        """Let go of the model, and of vLLM's own processes."""
        if self._llm is not None:
            self._llm.shutdown()
            self._loop.call_soon_threadsafe(self._loop.stop)
        self._llm = None

    def _next(self, results: SimpleQueue[_Result]) -> _Result:
        """The next answer, or an error. Of a request that it got while its engine died vLLM says nothing, ever."""
        while True:
            with suppress(Empty):
                return results.get(timeout=_LOOK_S)
            if self._llm.errored:
                error: BaseException = self._llm.dead_error
                return error

    def _in_loop(self, work: Coroutine[Any, Any, Any]) -> Future[Any]:
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    async def _answer(self, prompt: Prompt, results: SimpleQueue[_Result]) -> None:
        from vllm import TokensPrompt

        self._asked += 1
        try:
            ids = TokensPrompt(prompt_token_ids=list(prompt.ids))
            params = self._params(prompt.request.sampling)
            async for output in self._llm.generate(ids, params, str(self._asked), lora_request=self._over):
                last = output
            results.put(self._result(prompt, last.outputs[0]))
        except BaseException as error:  # handed over, not swallowed: it is raised again where results are read
            results.put(error)

    async def _put_over(self, spec: EngineSpec, adapter: Path) -> Any:
        """What names the adapter to vLLM in each request; refused where it changes nothing that is said.

        vLLM looks at the last part of a tensor's name alone, so one of another model could be loaded and never used.
        """
        from vllm import SamplingParams, TokensPrompt
        from vllm.lora.request import LoRARequest

        ids = self._chat.prompt_ids([{"role": "user", "content": PROBE}])
        over, said = LoRARequest("policy", 1, str(adapter)), list[dict[int, float]]()
        for one in (None, over):
            params, name = SamplingParams(max_tokens=1, temperature=0, logprobs=1), f"probe {len(said)}"
            async for output in self._llm.generate(TokensPrompt(prompt_token_ids=ids), params, name, lora_request=one):
                last = output
            said.append({token: found.logprob for token, found in last.outputs[0].logprobs[0].items()})
        if said[0] == said[1]:
            raise without_effect(AdapterFolder(adapter), Path(spec.model))
        return over

    def _result(self, prompt: Prompt, answer: Any) -> Completion | Failure:
        if answer.finish_reason not in ("stop", "length"):
            return Failure(prompt.request.key, f"vLLM ended the answer with finish_reason {answer.finish_reason!r}")
        return self._chat.complete(prompt, answer.token_ids, answer.finish_reason)

    def _params(self, sampling: Sampling) -> Any:
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        return SamplingParams(
            max_tokens=sampling.max_tokens,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            top_k=sampling.top_k,
            min_p=sampling.min_p,
            presence_penalty=sampling.presence_penalty,
            repetition_penalty=sampling.repetition_penalty,
            seed=sampling.seed if sampling.temperature > 0 else None,
            stop=list(sampling.stop),
            stop_token_ids=sorted(self._chat.end_ids),
            detokenize=bool(sampling.stop),  # only to find stop strings; the text is decoded as for every engine
            thinking_token_budget=self._budget,
            output_kind=RequestOutputKind.FINAL_ONLY,
        )


async def _load(spec: EngineSpec, around_thoughts: tuple[str, str] | None) -> Any:
    """Start vLLM; inside the event loop, which takes its answers in."""
    import torch
    from vllm import AsyncEngineArgs, AsyncLLMEngine
    from vllm.usage.usage_lib import UsageContext

    settings = {
        **(budget_settings(spec.model, around_thoughts) if spec.thinking_budget else {}),
        **(lora_settings(Path(spec.adapter)) if spec.adapter is not None else {}),
        "enable_prefix_caching": True,
        "enforce_eager": not torch.cuda.is_available(),  # compiling takes longer than it saves on a CPU
        "disable_log_stats": True,
        **spec.vllm,
    }
    arguments = AsyncEngineArgs(
        model=spec.model,
        dtype=spec.dtype,
        max_model_len=-1 if spec.max_model_len == "auto" else spec.max_model_len,  # -1: as much as fits
        tensor_parallel_size=spec.tensor_parallel,
        gpu_memory_utilization=spec.gpu_memory,
        generation_config="vllm",  # not the model's: the recipe alone decides on sampling
        trust_remote_code=spec.trust_remote_code,
        **settings,
    )
    # Batches of the size that vLLM gives to work without a person who waits for it.
    return AsyncLLMEngine.from_engine_args(arguments, usage_context=UsageContext.LLM_CLASS)


def budget_settings(model: str, around_thoughts: tuple[str, str] | None) -> dict[str, Any]:
    """What vLLM must be told before it can end a thought.

    Args:
        model: its name, for the message.
        around_thoughts: what begins a thought of it and what ends it: see `ChatTokenizer`.

    Raises:
        EngineError: it has no marks of thoughts.
    """
    if around_thoughts is None:
        raise EngineError(
            f"policy.reasoning.budget: {model} has no marks of thoughts in its chat template or vocabulary, so "
            "no thought of it can be ended: take budget out, or name the family of marks in policy.reasoning.parser"
        )
    from vllm.config import ReasoningConfig

    starts, ends = around_thoughts
    return {"reasoning_config": ReasoningConfig(reasoning_start_str=starts, reasoning_end_str=ends)}


def lora_settings(adapter: Path) -> dict[str, Any]:
    """What vLLM must be told before it can put an adapter over its model.

    Raises:
        EngineError: it cannot put this one over.
    """
    from vllm.lora.peft_helper import PEFTHelper

    found = AdapterFolder(adapter)
    found.check_over("vllm")
    patterns = [name for name in ("rank_pattern", "alpha_pattern") if found.config.get(name)]
    if patterns and not hasattr(PEFTHelper, "get_rank_and_scaling"):
        raise EngineError(
            f"{adapter}: {patterns[0]}: the vLLM that is installed here does not read it and would scale the adapter "
            "otherwise than peft does: install vLLM 0.32 or newer, or merge the adapter"
        )
    return {"enable_lora": True, "max_lora_rank": next(rank for rank in LORA_RANKS if rank >= found.rank)}


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
