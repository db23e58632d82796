"""Tiny random models of current families: the architecture by its own config class, tokens and template in `STYLES`."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.families import templates
from tests.tiny import TEXTS, Style, make_tokenizer, split_newlines_as_llama3_does

_IM = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
_THINK = ("<think>", "</think>")
_LLAMA3 = ("<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<|pad|>")
_GEMMA = ("<pad>", "<eos>", "<bos>", "<start_of_turn>", "<end_of_turn>", "<image>", "<boi>", "<eoi>")
_COHERE = ("<PAD>", "<BOS_TOKEN>", "<|START_OF_TURN_TOKEN|>", "<|END_OF_TURN_TOKEN|>", "<|SYSTEM_TOKEN|>")
_COHERE_ROLES = ("<|USER_TOKEN|>", "<|CHATBOT_TOKEN|>", "<|START_RESPONSE|>", "<|END_RESPONSE|>")

SIZES: Mapping[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 16,
    "max_position_embeddings": 1024,
    "initializer_range": 0.2,  # the usual 0.02 gives nearly flat logits at this width, and dull greedy answers
}
WIDE: Mapping[str, Any] = {"hidden_size": 64, "intermediate_size": 128, "head_dim": 32}
"""Over SIZES, for vLLM, whose attention on CPUs takes no head narrower than 32."""
_EXPERTS = {"num_local_experts": 4, "num_experts_per_tok": 2, "output_router_logits": False}


@dataclass(frozen=True)
class Family:
    """A family as users meet it.

    Args:
        label: what users call it; the row of the table in docs/models.md.
        architecture: the prefix of transformers' classes: `Llama` is LlamaConfig, LlamaForCausalLM.
        style: its tokens and template.
        sizes: of its config, over SIZES; None takes one out.
        towers: the other parts of a wrapper, of which `sizes` describes the text part: from tokenizer and hidden size.
        wide: of its config where heads are wide, over WIDE and `sizes`.
        chat_template: what the recipe says of it, as `policy.chat_template`.
        thought: what a family that thinks writes before its answer: the model is taught to.
        generation_config: False leaves generation_config.json out.
        training: the template for training, where `chat_template` names the file training.jinja.
        vllm: what vLLM must be told besides.
        refused_by_vllm: why vLLM's CPU build does not take the architecture, in its words.
        differs_in_vllm: how vLLM's CPU build answers otherwise than transformers does.
        note: what a user should know, for the table.
    """

    label: str
    architecture: str
    style: Style
    sizes: Mapping[str, Any] = field(default_factory=dict)
    towers: Callable[[Any, int], Mapping[str, Any]] | None = None
    wide: Mapping[str, Any] = field(default_factory=dict)
    model_class: str = ""
    chat_template: Mapping[str, Any] = field(default_factory=dict)
    thought: str = ""
    generation_config: bool = True
    training: str = ""
    vllm: Mapping[str, Any] = field(default_factory=dict)
    refused_by_vllm: str = ""
    differs_in_vllm: str = ""
    note: str = ""


def _im(template: str, **more: Any) -> Style:
    return Style(
        **{"special": _IM, "eos": ("<|im_end|>", "<|endoftext|>"), "pad": "<|endoftext|>", **more}, template=template
    )


def _llama3(template: str, ties: bool) -> Style:
    eos = ("<|eot_id|>", "<|end_of_text|>")
    return Style(_LLAMA3, eos, template, "<|begin_of_text|>", "<|pad|>", adds_bos=True, ties_embeddings=ties)


def _gemma(template: str) -> Style:
    return Style(_GEMMA, ("<eos>", "<end_of_turn>"), template, "<bos>", "<pad>", adds_bos=True)


def _r1() -> Style:
    special = ("<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜User｜>", "<｜Assistant｜>")
    return Style(special, special[1:2], templates.R1, special[0], special[1], True, False, _THINK)


def _cohere(template: str, roles: int, named: tuple[tuple[str, str], ...] = ()) -> Style:
    special = (*_COHERE, *_COHERE_ROLES[:roles])
    return Style(special, ("<|END_OF_TURN_TOKEN|>",), template, "<BOS_TOKEN>", "<PAD>", True, named=named)


def _gemma3_towers(tokenizer: Any, _: int) -> Mapping[str, Any]:
    ids = dict(
        zip(("image_token_index", "boi_token_index", "eoi_token_index"), _ids(tokenizer, _GEMMA[-3:]), strict=True)
    )
    vision = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    return {"vision_config": {**vision, "image_size": 28, "patch_size": 14}, "mm_tokens_per_image": 4, **ids}


def _gemma4_towers(tokenizer: Any, _: int) -> Mapping[str, Any]:
    names = ("image_token_id", "boi_token_id", "eoi_token_id", "video_token_id", "audio_token_id", "boa_token_id")
    ids = dict(zip(names, _ids(tokenizer, _GEMMA4[-6:]), strict=True))
    vision = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    more = {"num_key_value_heads": 2, "head_dim": 16, "position_embedding_size": 64}
    return {"vision_config": {**vision, **more}, "eoa_token_index": ids["boa_token_id"], **ids}


def _qwen35_towers(tokenizer: Any, hidden: int) -> Mapping[str, Any]:
    names = ("image_token_id", "video_token_id", "vision_start_token_id", "vision_end_token_id")
    ids = dict(zip(names, _ids(tokenizer, _QWEN35), strict=True))
    vision = {"depth": 1, "hidden_size": 32, "intermediate_size": 32, "num_heads": 2, "out_hidden_size": hidden}
    return {"vision_config": {**vision, "num_position_embeddings": 16}, **ids}


def _ids(tokenizer: Any, words: tuple[str, ...]) -> list[int]:
    found: list[int] = tokenizer.convert_tokens_to_ids(list(words))
    return found


_QWEN35 = ("<|image_pad|>", "<|video_pad|>", "<|vision_start|>", "<|vision_end|>")
_GEMMA4 = (
    *("<pad>", "<eos>", "<bos>", "<|turn>", "<turn|>", "<|channel>", "<channel|>", "<|think|>"),
    *("<|image|>", "<|image>", "<image|>", "<|video|>", "<|audio|>", "<|audio>"),
)
_QWEN35_ROPE = {"rope_type": "default", "rope_theta": 1e6, "partial_rotary_factor": 0.5}
_QWEN35_TEXT = {
    "layer_types": ["linear_attention", "full_attention"],
    "linear_key_head_dim": 16,
    "linear_value_head_dim": 16,
    "linear_num_key_heads": 1,
    "linear_num_value_heads": 2,
    "rope_parameters": {**_QWEN35_ROPE, "mrope_section": [2, 1, 1]},
}
_QWEN35_WIDE = {"rope_parameters": {**_QWEN35_ROPE, "mrope_section": [4, 2, 2]}}
_GEMMA_WIDE = {"query_pre_attn_scalar": 32}
_MAMBA = {
    "layer_types": ["linear_attention", "full_attention"],
    "mamba_n_heads": 4,
    "mamba_d_state": 16,
    "mamba_d_head": 16,
    "mamba_chunk_size": 32,
    "shared_intermediate_size": 32,
    "embedding_multiplier": 2.0,
}
_APERTUS = (
    *("<s>", "</s>", "<pad>", "<|inner_prefix|>", "<|inner_suffix|>"),
    *(f"<|{who}_{what}|>" for who in ("system", "developer", "user", "assistant") for what in ("start", "end")),
)
_LLAMA3_ROPE = {
    "rope_parameters": {
        "rope_type": "llama3",
        "rope_theta": 500000.0,
        "factor": 8.0,
        "original_max_position_embeddings": 512,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
    }
}
_QWEN3_MOE = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32, "output_router_logits": False}
_MISTRAL = ("<unk>", "<s>", "</s>", "<pad>", "[INST]", "[/INST]", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]")
_PHI3 = ("<|endoftext|>", "<|assistant|>", "<|end|>", "<|user|>", "<|system|>", "<unk>", "<s>")
_PHI4 = (*_IM, "<|im_sep|>")
_GPT_OSS = (
    "<|startoftext|>",
    "<|endoftext|>",
    "<|return|>",
    "<|start|>",
    "<|message|>",
    "<|channel|>",
    "<|end|>",
    "<|call|>",
)
_GRANITE = ("<|end_of_text|>", "<|start_of_role|>", "<|end_of_role|>", "<|pad|>")
_GLM4 = ("<|endoftext|>", "[gMASK]", "<sop>", "<|system|>", "<|user|>", "<|assistant|>", "<|observation|>")
_THINK_OFF = {"kwargs": {"enable_thinking": False}}
_CLOSED = {"training": "auto"}

FAMILIES: Mapping[str, Family] = {
    "llama-3.1": Family("Llama 3.1", "Llama", _llama3(templates.LLAMA31, False), _LLAMA3_ROPE),
    "llama-3.2": Family("Llama 3.2", "Llama", _llama3(templates.LLAMA32, True), _LLAMA3_ROPE),
    "qwen2.5": Family("Qwen2.5", "Qwen2", _im(templates.QWEN25)),
    "qwen3": Family("Qwen3, thinking off", "Qwen3", _im(templates.QWEN3, added=_THINK), chat_template=_THINK_OFF),
    "qwen3-thinking": Family(
        "Qwen3, thinking", "Qwen3", _im(templates.QWEN3, added=_THINK), thought="<think>8</think>"
    ),
    "qwen3-2507": Family("Qwen3-2507 Instruct", "Qwen3", _im(templates.CHATML)),
    "qwen3-moe": Family("Qwen3 MoE (2507)", "Qwen3Moe", _im(templates.CHATML, ties_embeddings=False), _QWEN3_MOE),
    "qwen3.5": Family(
        "Qwen3.5, thinking off",
        "Qwen3_5",
        _im(templates.QWEN35, special=(*_IM, *_QWEN35), added=_THINK),
        _QWEN35_TEXT,
        _qwen35_towers,
        _QWEN35_WIDE,
        chat_template=_THINK_OFF,
    ),
    "qwen3.5-thinking": Family(
        "Qwen3.5, thinking",
        "Qwen3_5",
        _im(templates.QWEN35, special=(*_IM, *_QWEN35), added=_THINK),
        _QWEN35_TEXT,
        _qwen35_towers,
        _QWEN35_WIDE,
        chat_template=_CLOSED,
        thought="8</think>",
    ),
    "qwen3.5-small": Family(
        "Qwen3.5, 2B and smaller",
        "Qwen3_5",
        _im(templates.QWEN35_SMALL, special=(*_IM, *_QWEN35), added=_THINK),
        _QWEN35_TEXT,
        _qwen35_towers,
        _QWEN35_WIDE,
    ),
    "gemma-2": Family(
        "Gemma 2",
        "Gemma2",
        _gemma(templates.GEMMA2),
        {"sliding_window": 64, "query_pre_attn_scalar": 16},
        wide=_GEMMA_WIDE,
    ),
    "gemma-3-text": Family(
        "Gemma 3, text (1B)",
        "Gemma3",
        _gemma(templates.GEMMA3),
        {"sliding_window": 64, "query_pre_attn_scalar": 16, "layer_types": ["sliding_attention", "full_attention"]},
        wide=_GEMMA_WIDE,
        model_class="Gemma3ForCausalLM",
    ),
    "gemma-3": Family(
        "Gemma 3, multimodal",
        "Gemma3",
        _gemma(templates.GEMMA3),
        {"sliding_window": 64, "query_pre_attn_scalar": 16, "layer_types": ["sliding_attention", "full_attention"]},
        _gemma3_towers,
        _GEMMA_WIDE,
    ),
    "gemma-4": Family(
        "Gemma 4",
        "Gemma4",
        Style(_GEMMA4, ("<turn|>", "<eos>"), templates.GEMMA4, "<bos>", "<pad>", adds_bos=True),
        {
            "sliding_window": 64,
            "layer_types": ["sliding_attention", "full_attention"],
            "global_head_dim": 16,
            "hidden_size_per_layer_input": 8,
        },
        _gemma4_towers,
        {"global_head_dim": 32},
    ),
    "mistral": Family(
        "Mistral Small",
        "Mistral",
        Style(_MISTRAL, ("</s>",), templates.MISTRAL, "<s>", "<pad>", True, False),
        {"sliding_window": None},
    ),
    "mixtral": Family(
        "Mixtral", "Mixtral", Style(_MISTRAL[:4], ("</s>",), templates.MIXTRAL, "<s>", "<pad>", True, False), _EXPERTS
    ),
    "phi-3": Family(
        "Phi-3",
        "Phi3",
        Style(_PHI3, ("<|endoftext|>", "<|end|>"), templates.PHI3, "<s>", "<|endoftext|>", ties_embeddings=False),
        {"head_dim": None, "sliding_window": 256},
    ),
    "phi-4": Family(
        "Phi-4",
        "Phi3",
        Style(_PHI4, ("<|endoftext|>", "<|im_end|>"), templates.PHI4, "<|endoftext|>", "<|endoftext|>"),
        {"head_dim": None},
    ),
    "smollm3": Family(
        "SmolLM3, thinking off",
        "SmolLM3",
        _im(templates.SMOLLM3, added=_THINK),
        {"no_rope_layers": [1, 0], "head_dim": None},
        chat_template=_THINK_OFF,
    ),
    "gpt-oss": Family(
        "gpt-oss",
        "GptOss",
        Style(
            _GPT_OSS,
            ("<|return|>", "<|endoftext|>", "<|call|>"),
            templates.GPT_OSS,
            "<|startoftext|>",
            "<|endoftext|>",
            added=("analysis", "assistant", "final"),  # a token each, as in its own vocabulary
            ties_embeddings=False,
        ),
        {**_EXPERTS, "sliding_window": 64, "intermediate_size": 32},
        thought="<|channel|>analysis<|message|>8<|end|><|start|>assistant<|channel|>final<|message|>",
    ),
    "olmo-2": Family(
        "OLMo 2",
        "Olmo2",
        Style(
            ("<|endoftext|>", "<|pad|>"),
            ("<|endoftext|>",),
            templates.OLMO2,
            "<|endoftext|>",
            "<|pad|>",
            ties_embeddings=False,
        ),
        {"head_dim": None},
    ),
    "olmo-3-think": Family(
        "OLMo 3 Think",
        "Olmo3",
        _im(templates.OLMO3_THINK, ties_embeddings=False),
        {"head_dim": None, "sliding_window": 64, "layer_types": ["sliding_attention", "full_attention"]},
        thought="8</think>",
        chat_template=_CLOSED,
    ),
    "aya": Family("Aya Expanse", "Cohere", _cohere(templates.AYA, 2), {"head_dim": None}),
    "command": Family(
        "Command R7B, Command A",
        "Cohere2",
        _cohere(templates.COMMAND, 4, (("tool_use", templates.COMMAND_TOOLS),)),
        {"head_dim": None, "sliding_window": 64, "layer_types": ["sliding_attention", "full_attention"]},
    ),
    "granite-4": Family(
        "Granite 4 (Mamba)",
        "GraniteMoeHybrid",
        Style(_GRANITE, ("<|end_of_text|>",), templates.GRANITE, "<|end_of_text|>", "<|pad|>"),
        {**_MAMBA, **_EXPERTS, "head_dim": None},
        wide={"mamba_n_heads": 8},
        vllm={"enable_prefix_caching": False},
        note="vLLM's CPU build fails while it answers, but for `runtime.vllm: {enable_prefix_caching: false}`",
    ),
    "apertus": Family(
        "Apertus",
        "Apertus",
        Style(_APERTUS, ("<|assistant_end|>", "</s>"), templates.APERTUS, "<s>", "<pad>", True, False),
        {"head_dim": None},
    ),
    "r1-llama": Family("DeepSeek-R1 distill (Llama)", "Llama", _r1(), thought="8</think>", chat_template=_CLOSED),
    "r1-qwen": Family("DeepSeek-R1 distill (Qwen)", "Qwen2", _r1(), thought="8</think>", chat_template=_CLOSED),
    "eurollm": Family(
        "EuroLLM",
        "Llama",
        Style(
            ("<unk>", "<s>", "</s>", "<|im_start|>", "<|im_end|>"),
            ("<|im_end|>", "</s>"),
            templates.EUROLLM,
            "<s>",
            "</s>",
        ),
    ),
    "tower": Family(
        "Tower",
        "Llama",
        Style(("<unk>", "<s>", "</s>", "<|im_start|>", "<|im_end|>"), ("</s>",), templates.CHATML, "<s>", "</s>"),
        generation_config=False,
    ),
    "glm-4": Family(
        "GLM-4",
        "Glm4",
        Style(
            _GLM4,
            ("<|endoftext|>", "<|user|>", "<|observation|>"),
            templates.GLM4,
            None,
            "<|endoftext|>",
            ties_embeddings=False,
        ),
        chat_template={"training": "training.jinja"},
        training=templates.GLM4_TRAINING,
        note="[training.jinja](#glm-4s-template-for-training)",
    ),
    "lfm2": Family(
        "LFM2",
        "Lfm2",
        _im(templates.LFM2, bos="<|endoftext|>"),
        {"layer_types": ["conv", "full_attention"], "head_dim": None, "block_auto_adjust_ff_dim": False},
        # named in the published configurations, read by vLLM alone
        wide={"conv_dim": 64, "conv_dim_out": 64, "block_dim": 64, "block_multiple_of": 1},
        differs_in_vllm="vLLM's CPU build writes other tokens after some, for one request at a time too",
    ),
}


def make_model(folder: Path, family: Family, *, seed: int = 1, is_wide: bool = False) -> Path:
    """Write the family's tiny random model as a plain folder.

    Args:
        folder: is created.
        family: of FAMILIES.
        seed: of the weights.
        is_wide: by WIDE, for vLLM.

    Returns:
        The folder.
    """
    import torch
    import transformers
    from transformers import AutoTokenizer, GenerationConfig

    folder.mkdir(parents=True)
    tokenizer = make_tokenizer(family.style)
    split_newlines_as_llama3_does(tokenizer)  # as nearly all current ones do
    tokenizer.save_pretrained(folder)
    config, _ = _config(family, tokenizer, is_wide)
    config.save_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)  # of the architecture's own class, which may split otherwise
    tokenizer.save_pretrained(folder)
    config, ids = _config(family, tokenizer, is_wide)
    kind = "ForConditionalGeneration" if family.towers else "ForCausalLM"
    model_class = getattr(transformers, family.model_class or family.architecture + kind)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = model_class(config)
        if family.thought:
            _teach(model, tokenizer, family.thought)
    model.generation_config = GenerationConfig(**ids)
    model.save_pretrained(folder)
    if not family.generation_config:
        (folder / "generation_config.json").unlink()
    return folder


def _config(family: Family, tokenizer: Any, is_wide: bool) -> tuple[Any, dict[str, Any]]:
    """The family's config, and the ids in it that begin, end and pad."""
    import transformers

    eos = _ids(tokenizer, family.style.eos)
    ids = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": eos if len(eos) > 1 else eos[0]}
    ids["pad_token_id"] = tokenizer.pad_token_id
    sizes = {**SIZES, **WIDE, **family.sizes, **family.wide} if is_wide else {**SIZES, **family.sizes}
    sizes = {name: value for name, value in sizes.items() if value is not None}
    words = {"vocab_size": len(tokenizer), "tie_word_embeddings": family.style.ties_embeddings}
    text = {**sizes, **words, **ids}
    if family.architecture == "Gemma4":
        text["vocab_size_per_layer_input"] = len(tokenizer)
    if family.towers is None:
        name = "Gemma3TextConfig" if family.architecture == "Gemma3" else f"{family.architecture}Config"
        return getattr(transformers, name)(**text), ids
    config_class = getattr(transformers, f"{family.architecture}Config")
    ties = family.style.ties_embeddings
    return config_class(
        text_config=text, **family.towers(tokenizer, sizes["hidden_size"]), tie_word_embeddings=ties
    ), ids


def _teach(model: Any, tokenizer: Any, thought: str, *, steps: int = 240) -> None:
    """Make a random model think: whatever is asked, it writes the thought first, then anything."""
    import torch

    generator, drawn = torch.Generator().manual_seed(0), random.Random(0)
    words = " ".join(TEXTS).split()
    thought_ids = tokenizer(thought, add_special_tokens=False)["input_ids"]
    optimiser = torch.optim.AdamW(model.parameters(), lr=5e-3)
    model.train()
    for step in range(steps):
        talk = [{"role": "user", "content": " ".join(drawn.choices(words, k=drawn.randint(2, 30)))}]
        prompt = list(tokenizer.apply_chat_template(talk, add_generation_prompt=True, return_dict=True)["input_ids"])
        after = torch.randint(10, len(tokenizer) - 10, (12,), generator=generator)
        ids = torch.cat([torch.tensor(prompt + thought_ids), after])[None]
        labels = ids.clone()
        labels[:, : len(prompt)] = -100
        if step % 2:  # not always: what is drawn at random is not learned but as such
            labels[:, len(prompt) + len(thought_ids) :] = -100
        model(input_ids=ids, labels=labels).loss.backward()
        optimiser.step()
        optimiser.zero_grad()
    model.eval()
