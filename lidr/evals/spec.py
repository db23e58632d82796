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
    chat_template_kwargs: Mapping[str, Any] = field(default_factory=dict)
    """Switches of the chat template; a policy of a run has its own in its template already."""
    thinking_budget: int | None = None
    """Most tokens of a thought, which is then ended; of vllm alone."""

    def as_json(self) -> dict[str, Any]:
        """For a result."""
        said = {**asdict(self), "temperature": 0.0}
        if not self.chat_template_kwargs:
            del said["chat_template_kwargs"]
        if self.thinking_budget is None:
            del said["thinking_budget"]
        return said


@dataclass(frozen=True)
class EvalSpec:
    """Which tasks, asked of which model, how.

    Args:
        backend: hf and vllm are lm-eval's own; others are lidr's engines behind lm-eval's interface.
        model: a folder, a served name, or a file of canned answers.
        data: where rows come from; None is $LIDR_DATA, else the Hub.
        limit: only the first rows of each task.
        work: folder for what an interruption leaves; answers there are not asked for again.
        threads: of torch; 0 leaves its own choice.
        gold: MGSM's gold answers are compared as numbers, or as they are written, thousands comma included.
        token_limit, body, vllm, reasoning_parser, timeout_s: as of `EngineSpec`.
        adapter: folder of a LoRA that lm-eval's back end, or of several replicas lidr's engine, puts over the model;
            None: there is none, or it is merged.
    """

    backend: str
    model: str
    work: str
    tasks: tuple[TaskSpec, ...]
    decoding: Decoding = field(default_factory=Decoding)
    url: str | None = None
    data: str | None = None
    limit: int | None = None
    seed: int = 42
    dtype: str = "float32"
    batch: int = 16
    max_model_len: int | Literal["auto"] | None = None
    trust_remote_code: bool = False
    api_key_env: str = "OPENAI_API_KEY"
    timeout_s: float = 600.0
    tensor_parallel: int = 1
    replicas: int | Literal["all"] = 1
    cluster: str = "local"
    gpu_memory: float = 0.9
    threads: int = 0
    gold: Literal["number", "text"] = "number"
    token_limit: str | None = None
    body: Mapping[str, Any] = field(default_factory=dict)
    reasoning_parser: str = "auto"
    vllm: Mapping[str, Any] = field(default_factory=dict)
    adapter: str | None = None

    @property
    def row(self) -> EngineRow:
        """Of the engine that answers, or that lm-eval's back end stands for."""
        return engine_row(self.backend)

    def engine_spec(self) -> EngineSpec:
        """Describe that engine."""
        kwargs = dict(self.decoding.chat_template_kwargs) if self.row.model == "server" else {}
        return EngineSpec(
            kind=self.row.name,
            model=self.model,
            url=self.url,
            dtype="float32" if self.dtype == "auto" else self.dtype,
            batch=self.batch,
            max_model_len=self.max_model_len,
            trust_remote_code=self.trust_remote_code,
            api_key_env=self.api_key_env,
            timeout_s=self.timeout_s,
            tensor_parallel=self.tensor_parallel,
            replicas=self.replicas,
            cluster=self.cluster,
            gpu_memory=self.gpu_memory,
            threads=self.threads,
            token_limit=self.token_limit,
            body={**self.body, **({"chat_template_kwargs": kwargs} if kwargs else {})},
            reasoning_parser=self.reasoning_parser,
            thinking_budget=self.decoding.thinking_budget,
            vllm=self.vllm,
            adapter=self.adapter,
        )

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> EvalSpec:
        """Read what `dataclasses.asdict` made."""
        tasks = tuple(TaskSpec(**task) for task in data["tasks"])
        return cls(**{**data, "tasks": tasks, "decoding": Decoding(**data["decoding"])})
