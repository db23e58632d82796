"""What an engine is: a stream of chat requests in, a stream of completions out, in any order, matched by `key`.

>>> Sampling(max_tokens=64).temperature
0.0
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, Self, TypedDict

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
    the prompt too; `presence_penalty` is subtracted from those of tokens that the answer holds already. Above
    temperature 0, tokens are drawn from those at least `min_p` times as likely as the likeliest, of these the `top_k`
    likeliest (0: all), of these the likeliest that together hold `top_p` of what is left: vLLM's order.
    """

    max_tokens: int
    temperature: float = 0.0
    top_p: float = 1.0
    repetition_penalty: float = 1.0
    seed: int = 0
    stop: tuple[str, ...] = ()
    top_k: int = 0
    min_p: float = 0.0
    presence_penalty: float = 0.0


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
    `completion_tokens` is their number; a server may count the end-of-turn token too. `said` is what a server said
    where there is no answer to use, `served_by` which model it says that the answer is of. `reasoning` is what the
    model thought before it answered, and no part of `text`; `reasoning_tokens` how many of the tokens it took.
    """

    key: str
    text: str
    finish_reason: FinishReason
    prompt_tokens: int
    completion_tokens: int
    token_ids: tuple[int, ...] = ()
    said: str = ""
    served_by: str = ""
    reasoning: str = ""
    reasoning_tokens: int = 0


@dataclass(frozen=True)
class Failure:
    """One request that got no answer. It is reported, never stored as a result, and asked again on the next run."""

    key: str
    error: str


class Engine(Protocol):
    """Something that answers chat requests. Use it in a `with` block, so that it ends with the block."""

    def generate(self, requests: Iterable[ChatRequest | None]) -> Iterator[Completion | Failure]:
        """Answer each request exactly once, in any order, each as soon as it is ready.

        Requests may depend on answers that were given before: None in their place says that there are no more for now,
        and that the engine is to ask again when more answers were taken. `Arrivals` reads such a stream.
        """
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
        adapter: folder of an adapter that is put over the model as it is, not merged; only engines whose row says
            `adapters` can.
        dtype: of the weights, for `transformers` and `vllm`.
        batch: requests in flight at once: the batch of `transformers`, the concurrency of `openai`; `vllm` has its own.
        max_model_len: longest prompt plus completion, tokens; None takes it from the model's config; "auto" of vLLM is
            as much of that as fits into memory, of other engines the same as None.
        trust_remote_code: run code that comes with the model; only by the recipe's word for a pinned revision.
        api_key_env: the environment variable that holds the server's key. The key itself is never stored.
        tensor_parallel: GPUs that share one model, for `vllm`.
        replicas: engines that share the requests, or `all` that find a place; not 1 needs Ray. Of no use to a server.
        cluster: where they run: `local`, `auto` (RAY_ADDRESS), or HOST:PORT of a Ray cluster.
        gpu_memory: share of a GPU's memory that `vllm` may take, 0-1.
        vllm: more engine arguments of `vllm`, by its names: see `lidr.engines.vllm`.
        judges: the model is served as a local judge and asked by bodies of questions: see `lidr.evals.judge.local`.
        threads: CPU threads of `transformers` and `vllm`; 0 leaves their own choice.
        double_bos: one more BOS token before each prompt; only engines that send token ids can.
        beams: width of the beam search of `seq2seq`; 1 is greedy.
        token_limit: for `openai`, the name of the field for the longest answer; None finds it out.
        body: for `openai`, more fields of each request; None takes out one of ours.
        reasoning_parser: how thoughts are told from answers: `auto`, `none`, or a family of `lidr.reasoning`.
        thinking_budget: most tokens of a thought, for `vllm`; None sets no end.
        timeout_s: for `openai`, how long one answer may take before it is asked for again.
        codes: for `seq2seq`, our language codes and the model's own, where they are not found by its family's rule.
    """

    kind: str
    model: str
    url: str | None = None
    dtype: str = "float32"
    batch: int = 16
    max_model_len: int | Literal["auto"] | None = None
    trust_remote_code: bool = False
    api_key_env: str = "OPENAI_API_KEY"
    tensor_parallel: int = 1
    gpu_memory: float = 0.9
    threads: int = 0
    double_bos: bool = False
    beams: int = 1
    codes: Mapping[str, str] = field(default_factory=dict)
    token_limit: str | None = None
    body: Mapping[str, Any] = field(default_factory=dict)
    reasoning_parser: str = "auto"
    thinking_budget: int | None = None
    replicas: int | Literal["all"] = 1
    cluster: str = "local"
    vllm: Mapping[str, Any] = field(default_factory=dict)
    judges: bool = False
    adapter: str | None = None
    timeout_s: float = 600.0

    @property
    def gpus(self) -> int:
        """GPUs that one engine takes, where there are any; those but `vllm` use one, and know no more."""
        return gpus_of_one(self.tensor_parallel, self.vllm) if self.kind == "vllm" else 1

    @property
    def longest(self) -> int | None:
        """`max_model_len` for an engine that fits nothing to memory."""
        return None if self.max_model_len == "auto" else self.max_model_len


_STAGES = ("pipeline_parallel_size", "prefill_context_parallel_size")


def gpus_of_one(tensor_parallel: int, arguments: Mapping[str, Any]) -> int:
    """GPUs that one vLLM takes: those that share each layer, times those among which layers or texts are split.

    >>> gpus_of_one(2, {"pipeline_parallel_size": 4})
    8
    """
    found = tensor_parallel
    for name in _STAGES:
        number = arguments.get(name)
        found *= number if isinstance(number, int) and number > 0 else 1
    return found
