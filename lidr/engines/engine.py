"""What an engine is: a stream of chat requests in, a stream of completions out, in any order, matched by `key`.

>>> Sampling(max_tokens=64)
Sampling(max_tokens=64, temperature=0.0, top_p=1.0, repetition_penalty=1.0, seed=0, stop=())
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol, Self, TypedDict

from lidr.rows import FinishReason


class Message(TypedDict):
    """One turn of a conversation, as chat templates and TRL read it."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True)
class Sampling:
    """How one answer is decoded.

    `temperature` 0 is greedy. `seed` matters above 0 only, and is this answer's own: equal requests with equal seeds
    get equal answers, whatever they are batched with; give each row its own seed for independent draws. `stop` strings
    are cut off. `repetition_penalty` divides positive and multiplies negative logits of tokens that occurred before, in
    the prompt too.
    """

    max_tokens: int
    temperature: float = 0.0
    top_p: float = 1.0
    repetition_penalty: float = 1.0
    seed: int = 0
    stop: tuple[str, ...] = ()


@dataclass(frozen=True)
class ChatRequest:
    """One conversation to continue.

    `prefill`, if given, is the start of the assistant's answer: the prompt ends exactly with it, and the completion's
    text does not repeat it. `direction` is for an engine that only translates (`seq2seq`): the codes of the languages
    that the one message is in and is wanted in.
    """

    key: str
    messages: tuple[Message, ...]
    sampling: Sampling
    prefill: str | None = None
    direction: tuple[str, str] | None = None


@dataclass(frozen=True)
class Completion:
    """One answer.

    Counts are in tokens. `token_ids` are those generated, without the prompt and without the end-of-turn token, empty
    if unknown; after a stop string they end with the token that completed it, while `text` ends before the string.
    `completion_tokens` is their number; a server may count the end-of-turn token too.
    """

    key: str
    text: str
    finish_reason: FinishReason
    prompt_tokens: int
    completion_tokens: int
    token_ids: tuple[int, ...] = ()


@dataclass(frozen=True)
class Failure:
    """One request that got no answer. It is reported, never stored as a result, and asked again on the next run."""

    key: str
    error: str


class Engine(Protocol):
    """Something that answers chat requests. Use it in a `with` block, so that it ends with the block."""

    def generate(self, requests: Iterable[ChatRequest]) -> Iterator[Completion | Failure]:
        """Answer each request exactly once, in any order, each as soon as it is ready."""
        ...

    def close(self) -> None:
        """Free everything the engine holds. Safe to call twice."""
        ...

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@dataclass(frozen=True)
class EngineSpec:
    """Which engine to start, and on what. Everything here is plain data: it crosses a process boundary.

    Args:
        kind: name of a row of lidr/engines/registry.py.
        model: a folder of safetensors for `transformers`, `vllm` and `seq2seq`, the served name for `openai`, a file of
            canned answers for `scripted`.
        url: base URL of the server, for `openai`.
        dtype: of the weights, for `transformers` and `vllm`.
        batch: requests in flight at once: the batch of `transformers`, the concurrency of `openai`; `vllm` has its own.
        max_model_len: longest prompt plus completion, tokens; None takes it from the model's config.
        trust_remote_code: run code that comes with the model; only by the recipe's word for a pinned revision.
        api_key_env: the environment variable that holds the server's key. The key itself is never stored.
        tensor_parallel: GPUs that share one model, for `vllm`.
        gpu_memory: share of a GPU's memory that `vllm` may take, 0-1.
        threads: CPU threads of `transformers` and `vllm`; 0 leaves their own choice.
        double_bos: one more BOS token before each prompt; only engines that send token ids can.
        beams: width of the beam search of `seq2seq`; 1 is greedy.
        codes: for `seq2seq`, our language codes and the model's own, where they are not found by its family's rule.
    """

    kind: str
    model: str
    url: str | None = None
    dtype: str = "float32"
    batch: int = 16
    max_model_len: int | None = None
    trust_remote_code: bool = False
    api_key_env: str = "OPENAI_API_KEY"
    tensor_parallel: int = 1
    gpu_memory: float = 0.9
    threads: int = 0
    double_bos: bool = False
    beams: int = 1
    codes: Mapping[str, str] = field(default_factory=dict)
