"""A model that lm-eval can ask without a model: each answer follows from the prompt alone."""

from __future__ import annotations

import hashlib
from typing import Any

from lm_eval.api.model import LM


def canned_answer(prompt: str) -> str | None:
    """The prompt again, English, nothing, a null (as chat servers send for withheld answers), or a number."""
    kind = hashlib.sha256(prompt.encode()).digest()[0] % 8
    answers = {0: "I am sorry, but I cannot help you with that question today.", 1: "", 2: None, 3: "Antwort: 17"}
    return answers.get(kind, f"{prompt} {prompt[: 40 * kind]}")


class CannedLM(LM):
    """Answers by `canned_answer`, on as many ranks as there are."""

    tokenizer_name = "canned"
    device = "cpu"

    def __init__(self, rank: int = 0, world_size: int = 1) -> None:
        super().__init__()
        self._rank, self._world_size = rank, world_size

    def generate_until(self, requests: list[Any], disable_tqdm: bool = False) -> list[str | None]:
        return [canned_answer(request.args[0]) for request in requests]

    def loglikelihood(self, requests: list[Any], disable_tqdm: bool = False) -> list[Any]:
        raise NotImplementedError("these tasks only generate")

    loglikelihood_rolling = loglikelihood

    def all_gather(self, tensor: Any) -> Any:
        import torch
        import torch.distributed as dist

        found = [torch.zeros_like(tensor) for _ in range(self._world_size)]
        dist.all_gather(found, tensor)
        return torch.stack(found)

    def gather_object(self, obj: Any, dst: int = 0) -> list[Any] | None:
        import torch.distributed as dist

        found = [None] * self._world_size if self._rank == dst else None
        dist.gather_object(obj, found, dst=dst)
        return found

    def barrier(self) -> None:
        import torch.distributed as dist

        dist.barrier()
