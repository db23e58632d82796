"""Where and how a recipe runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from lidr.engines import engines
from lidr.recipe.frozen import Frozen

if TYPE_CHECKING:
    EngineKind = str
else:
    EngineKind = Literal[engines(lambda row: not row.only_translates)]


class Runtime(Frozen):
    """Where and how it runs: no identity, but for `engine`, `answers` and `max_model_len`, which change texts."""

    engine: EngineKind = "transformers"
    """Who answers: transformers, vllm, openai (any compatible server) or scripted (canned answers)."""
    answers: str | None = None
    """For `scripted`: the JSON-lines file of canned answers. Part of the identity."""
    engine_batch: int = Field(16, ge=1)
    """Requests in flight at once."""
    micro_batch: int = Field(2, ge=1)
    """Pairs in one forward pass of training."""
    tensor_parallel: int = Field(1, ge=1)
    """GPUs that share one model."""
    gpu_memory: float = Field(0.9, gt=0, le=1)
    """Share of a GPU's memory that vLLM takes."""
    max_model_len: int | None = Field(None, ge=16)
    """Longest prompt plus completion, tokens; by default what the model's config says."""
    gradient_checkpointing: bool = False
    """Trade time for memory in training."""
    threads: int = Field(0, ge=0)
    """CPU threads; 0 lets the libraries choose."""
    save_steps: int = Field(25, ge=0)
    """Optimiser steps between training checkpoints; 0 saves none."""
    report_to: tuple[Literal["wandb", "tensorboard", "mlflow", "trackio"], ...] = ()
    """Trackers that training reports to."""
    api_key_env: str = "OPENAI_API_KEY"
    """Environment variable that holds the key of an openai: server."""
    store: str = "runs"
    """Folder of the artifacts; LIDR_STORE overrides it."""
    push: bool = False
    """Whether the publish step may send anything."""
    hub: Literal["environment", "embedded"] = "environment"
    """Where to: `environment` is the Hub of HF_ENDPOINT and your token, without either the embedded one; `embedded` is
    always the Hub in the store's folder .hub, which nothing leaves."""
