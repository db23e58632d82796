"""What one evaluation asks: plain data, it crosses to the process that holds the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from lidr.engines import EngineRow, EngineSpec, engine_row


@dataclass(frozen=True)
class TaskSpec:
    """One task of lm-eval: its name, and what it is."""

    task: str
    benchmark: str
    variant: str
    language: str


@dataclass(frozen=True)
class Decoding:
    """How answers are decoded: greedy."""

    max_tokens: int = 2048
    repetition_penalty: float = 1.0
    system_prompt: str | None = None

    def as_json(self) -> dict[str, Any]:
        """For a result."""
        return {**asdict(self), "temperature": 0.0}


@dataclass(frozen=True)
class EvalSpec:
    """Which tasks, asked of which model, how.

    Args:
        backend: hf and vllm are lm-eval's own; others are lidr's engines behind lm-eval's interface.
        model: a folder, a served name, or a file of canned answers.
        adapter: folder of a LoRA adapter over it.
        data: where rows come from; None is $LIDR_DATA, else the Hub.
        limit: only the first rows of each task.
        work: folder for what an interruption leaves; answers there are not asked for again.
        threads: of torch; 0 leaves its own choice.
        gold: MGSM's gold answers are compared as numbers, or as they are written, thousands comma included.
    """

    backend: str
    model: str
    work: str
    tasks: tuple[TaskSpec, ...]
    decoding: Decoding = field(default_factory=Decoding)
    url: str | None = None
    adapter: str | None = None
    data: str | None = None
    limit: int | None = None
    seed: int = 42
    dtype: str = "float32"
    batch: int = 16
    max_model_len: int | None = None
    trust_remote_code: bool = False
    api_key_env: str = "OPENAI_API_KEY"
    tensor_parallel: int = 1
    gpu_memory: float = 0.9
    threads: int = 0
    gold: Literal["number", "text"] = "number"

    @property
    def row(self) -> EngineRow:
        """Of the engine that answers, or that lm-eval's back end stands for."""
        return engine_row(self.backend)

    def engine_spec(self) -> EngineSpec:
        """Describe that engine."""
        return EngineSpec(
            kind=self.row.name,
            model=self.model,
            url=self.url,
            dtype="float32" if self.dtype == "auto" else self.dtype,
            batch=self.batch,
            max_model_len=self.max_model_len,
            trust_remote_code=self.trust_remote_code,
            api_key_env=self.api_key_env,
            tensor_parallel=self.tensor_parallel,
            gpu_memory=self.gpu_memory,
            threads=self.threads,
        )

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> EvalSpec:
        """Read what `dataclasses.asdict` made."""
        tasks = tuple(TaskSpec(**task) for task in data["tasks"])
        return cls(**{**data, "tasks": tasks, "decoding": Decoding(**data["decoding"])})
