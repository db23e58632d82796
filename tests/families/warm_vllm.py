"""vLLM for many families: forks of one process that has vLLM imported, each with all of its engine in itself.

A start of vLLM is four imports of it (lidr's worker, the engine's core, its worker, a look at the model's class), and
each takes longer than a tiny model does. Here lidr's engine drives vLLM's engine without vLLM's own processes: the same
arguments, model, scheduler and batches. With them vLLM is started in tests/engines/vllm.
"""

from __future__ import annotations

import asyncio
import dataclasses
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any, Self

from lidr.engines.registry import ENGINES
from tests.families.warm_server import warm_workers

_ENVIRONMENT = {
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_NO_USAGE_STATS": "1",
}


@contextmanager
def warm_vllm() -> Iterator[None]:
    """Fork the engines of this process from the warm server, until the block ends; those of transformers, too."""
    before, row = dict(os.environ), ENGINES["vllm"]
    os.environ |= _ENVIRONMENT
    ENGINES["vllm"] = dataclasses.replace(row, is_forked=True)
    try:
        with warm_workers("tests.families.warm_vllm"):
            yield
    finally:
        ENGINES["vllm"] = row
        os.environ.clear()
        os.environ.update(before)


class OneProcess:
    """What lidr's engine uses of vLLM's AsyncLLMEngine, without other processes."""

    errored = False
    """There is none that could die."""

    def __init__(self, engine: Any) -> None:
        self._engine, self._finished = engine, dict[str, Any]()
        self.model_config = engine.model_config

    @classmethod
    def from_engine_args(cls, arguments: Any, *, usage_context: Any) -> Self:
        """Start it."""
        from vllm.v1.engine.llm_engine import LLMEngine

        return cls(LLMEngine.from_engine_args(arguments, usage_context=usage_context, enable_multiprocessing=False))

    async def generate(
        self, prompt: Any, params: Any, request_id: str, *, lora_request: Any = None
    ) -> AsyncIterator[Any]:
        """Answer; whoever waits moves all requests on by a step."""
        self._engine.add_request(request_id, prompt, params, lora_request=lora_request)
        await asyncio.sleep(0)
        while request_id not in self._finished:
            self._finished |= {one.request_id: one for one in self._engine.step() if one.finished}
            await asyncio.sleep(0)
        yield self._finished.pop(request_id)

    def shutdown(self) -> None:
        """Nothing else runs."""


if __name__ == "__main__":
    import vllm
    import vllm.model_executor.models.registry as models
    import vllm.v1.engine.core
    import vllm.v1.engine.llm_engine
    import vllm.v1.executor.uniproc_executor
    import vllm.v1.worker.cpu_model_runner
    import vllm.v1.worker.cpu_worker

    from lidr.worker import fork_server

    _ = vllm.AsyncEngineArgs, vllm.SamplingParams
    vllm.AsyncLLMEngine = OneProcess
    models._run_in_subprocess = lambda work: work()
    fork_server.main()
