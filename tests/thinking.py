"""Tokenizers and chat templates shaped like those of models that think, without a model.

What is kept of a family is what decides how its thoughts are cut: whether the marks are special tokens, added ones, or
plain text; whether the prompt opens the thought; and what becomes of a started answer.

    chat = ChatTokenizer(thinking_tokenizer("qwen3"), model="it")
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from tests.tiny import TEXTS

_SPELLED = ["think </ think </ think", "</</</ </ </ thinkthinkthink"] * 20
"""So that the tags of OLMo 3 are a few tokens, and not only bytes."""

_CHATML = """
{%- for message in messages -%}
{{- '<|im_start|>' + message.role + '\\n' -}}
{%- if message.role == 'assistant' -%}
{%- set last = loop.last and not add_generation_prompt -%}
BODY
{%- else -%}{{- message.content -}}{%- endif -%}
{%- if not (continue_final_message and loop.last) -%}{{- '<|im_end|>\\n' -}}{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}OPENS{%- endif -%}
"""


def _chatml(body: str, opens: str = "") -> str:
    return _CHATML.replace("BODY", body).replace("OPENS", opens).strip()


_EMPTY = "'<think>\\n\\n</think>\\n\\n'"
_QWEN_BODY = """
{%- set thoughts = message.reasoning_content | default('', true) -%}
{%- set said = message.content -%}
{%- if not thoughts and '</think>' in said -%}
{%- set thoughts = said.split('</think>')[0].split('<think>')[-1].strip('\\n') -%}
{%- set said = said.split('</think>')[-1].lstrip('\\n') -%}
{%- endif -%}
{%- if last -%}{{- '<think>\\n' + thoughts + '\\n</think>\\n\\n' -}}{%- endif -%}
{{- said -}}
"""
_OFF = f"{{%- if enable_thinking is defined and enable_thinking is false -%}}{{{{- {_EMPTY} -}}}}"


class Style(NamedTuple):
    """One family: its tokens, its template, and how an answer with thoughts looks as it is generated."""

    special: tuple[str, ...]
    added: tuple[str, ...]
    template: str
    answer: str
    parser: str
    name_in_vllm: str | None = None


_QWEN: dict[str, Any] = {
    "special": ("<|endoftext|>", "<|im_start|>", "<|im_end|>"),
    "added": ("<think>", "</think>"),
    "parser": "think",
}
_THINK = "<think>\nWhat do bees make?\n</think>\n\nHoney."
_OPENED = "What do bees make?\n</think>\n\nHoney."

STYLES: dict[str, Style] = {
    "qwen3": Style(**_QWEN, template=_chatml(_QWEN_BODY, _OFF + "{%- endif -%}"), answer=_THINK, name_in_vllm="qwen3"),
    "qwen35": Style(
        **_QWEN,
        template=_chatml(_QWEN_BODY, _OFF + "{%- else -%}{{- '<think>\\n' -}}{%- endif -%}"),
        answer=_OPENED,
        name_in_vllm="qwen3",
    ),
    "r1": Style(
        special=("<|begin|>", "<|im_end|>", "<|end|>"),
        added=("<|User|>", "<|Assistant|>", "<think>", "</think>"),
        template=(
            "{{- '<|begin|>' -}}{%- for message in messages -%}"
            "{%- if message.role == 'assistant' -%}{{- '<|Assistant|>' + message.content.split('</think>')[-1] -}}"
            "{%- if not (continue_final_message and loop.last) -%}{{- '<|im_end|>' -}}{%- endif -%}"
            "{%- else -%}{{- '<|User|>' + message.content -}}{%- endif -%}{%- endfor -%}"
            "{%- if add_generation_prompt -%}{{- '<|Assistant|><think>\\n' -}}{%- endif -%}"
        ),
        answer=_OPENED,
        parser="think",
        name_in_vllm="deepseek_r1",
    ),
    "olmo3": Style(
        special=("<|endoftext|>", "<|im_start|>", "<|im_end|>"),
        added=(),  # its tags are text
        template=_chatml("{{- message.content -}}", "{{- '<think>' -}}") + "{#- </think> -#}",
        answer="What do bees make?</think>Honey.",
        parser="think",
        name_in_vllm="olmo3",
    ),
    "smollm3": Style(
        **_QWEN,
        template=_chatml("{{- message.content -}}", _OFF + "{%- endif -%}"),
        answer="<think>What do bees make?</think>Honey.",
    ),
    "gptoss": Style(
        special=(
            "<|endoftext|>",
            "<|im_end|>",
            "<|start|>",
            "<|end|>",
            "<|return|>",
            "<|call|>",
            "<|channel|>",
            "<|message|>",
            "<|constrain|>",
        ),
        added=(),
        template=(
            "{{- '<|start|>system<|message|>Reasoning: medium<|end|>' -}}{%- for message in messages -%}"
            "{%- if message.role == 'assistant' -%}"
            "{%- if message.thinking and loop.last -%}"
            "{{- '<|start|>assistant<|channel|>analysis<|message|>' + message.thinking + '<|end|>' -}}{%- endif -%}"
            "{{- '<|start|>assistant<|channel|>final<|message|>' + message.content -}}"
            "{%- if not (continue_final_message and loop.last) -%}"
            "{{- '<|im_end|>' if loop.last and not add_generation_prompt else '<|end|>' -}}{%- endif -%}"
            "{%- else -%}{{- '<|start|>' + message.role + '<|message|>' + message.content + '<|end|>' -}}{%- endif -%}"
            "{%- endfor -%}{%- if add_generation_prompt -%}{{- '<|start|>assistant' -}}{%- endif -%}"
        ).replace("<|im_end|>", "<|return|>"),
        answer=(
            "<|channel|>analysis<|message|>What do bees make?<|end|><|start|>assistant<|channel|>final<|message|>Honey."
        ),
        parser="harmony",
    ),
    "gemma4": Style(
        special=(
            "<pad>",
            "<eos>",
            "<bos>",
            "<|turn>",
            "<turn|>",
            "<|channel>",
            "<channel|>",
            "<|think|>",
            "<|im_end|>",
        ),
        added=(),
        template=(
            "{{- bos_token -}}{%- for message in messages -%}"
            "{{- '<|turn>' + ('model' if message.role == 'assistant' else message.role) + '\\n' -}}"
            "{%- if message.reasoning_content and loop.last -%}"
            "{{- '<|channel>thought\\n' + message.reasoning_content + '\\n<channel|>' -}}{%- endif -%}"
            "{{- message.content -}}"
            "{%- if not (continue_final_message and loop.last) -%}{{- '<turn|>\\n' -}}{%- endif -%}{%- endfor -%}"
            "{%- if add_generation_prompt -%}{{- '<|turn>model\\n' -}}{%- endif -%}"
        ),
        answer="<|channel>thought\nWhat do bees make?<channel|>Honey.",
        parser="gemma4",
        name_in_vllm="gemma4",
    ),
    "apertus": Style(
        special=(
            "<s>",
            "</s>",
            "<|user_start|>",
            "<|user_end|>",
            "<|assistant_start|>",
            "<|im_end|>",
            "<|inner_prefix|>",
            "<|inner_suffix|>",
        ),
        added=(),
        template=(
            "{{- bos_token -}}{%- for message in messages -%}"
            "{%- if message.role == 'assistant' -%}{{- '<|assistant_start|>' + message.content -}}"
            "{%- if not (continue_final_message and loop.last) -%}{{- '<|im_end|>' -}}{%- endif -%}"
            "{%- else -%}{{- '<|user_start|>' + message.content + '<|user_end|>' -}}{%- endif -%}{%- endfor -%}"
            "{%- if add_generation_prompt -%}{{- '<|assistant_start|>' -}}{%- endif -%}"
        ),
        answer="<|inner_prefix|>What do bees make?<|inner_suffix|>Honey.",
        parser="apertus",
    ),
    "mistral": Style(
        special=("<s>", "</s>", "[INST]", "[/INST]", "[TOOL_CALLS]", "[THINK]", "[/THINK]", "<|im_end|>"),
        added=(),
        template=(
            "{{- bos_token -}}{%- for message in messages -%}"
            "{%- if message.role == 'assistant' -%}{{- message.content -}}"
            "{%- if not (continue_final_message and loop.last) -%}{{- '<|im_end|>' -}}{%- endif -%}"
            "{%- else -%}{{- '[INST]' + message.content + '[/INST]' -}}{%- endif -%}{%- endfor -%}"
        ),
        answer="[THINK]What do bees make?[/THINK]Honey.",
        parser="mistral",
        name_in_vllm="mistral",
    ),
    "command": Style(
        special=(
            "<BOS_TOKEN>",
            "<|START_OF_TURN_TOKEN|>",
            "<|im_end|>",
            "<|USER_TOKEN|>",
            "<|CHATBOT_TOKEN|>",
            "<|START_THINKING|>",
            "<|END_THINKING|>",
            "<|START_RESPONSE|>",
            "<|END_RESPONSE|>",
        ),
        added=(),
        template=(
            "{{- '<BOS_TOKEN>' -}}{%- for message in messages -%}"
            "{%- if message.role == 'assistant' -%}"
            "{{- '<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|><|START_RESPONSE|>' + message.content -}}"
            "{%- if not (continue_final_message and loop.last) -%}{{- '<|END_RESPONSE|><|im_end|>' -}}{%- endif -%}"
            "{%- else -%}{{- '<|START_OF_TURN_TOKEN|><|USER_TOKEN|>' + message.content + '<|im_end|>' -}}{%- endif -%}"
            "{%- endfor -%}{%- if add_generation_prompt -%}"
            "{{- '<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>' -}}{%- endif -%}"
        ),
        answer=("<|START_THINKING|>What do bees make?<|END_THINKING|><|START_RESPONSE|>Honey.<|END_RESPONSE|>"),
        parser="command",
    ),
    "seed": Style(
        special=("<seed:bos>", "<seed:eos>", "<|im_end|>"),
        added=("<seed:think>", "</seed:think>"),
        template=(
            "{%- for message in messages -%}{{- '<seed:bos>' + message.role + '\\n' + message.content -}}"
            "{%- if not (continue_final_message and loop.last) -%}{{- '<|im_end|>' -}}{%- endif -%}{%- endfor -%}"
            "{%- if add_generation_prompt -%}{{- '<seed:bos>assistant\\n' -}}{%- endif -%}"
        ),
        answer="<seed:think>What do bees make?</seed:think>Honey.",
        parser="seed",
        name_in_vllm="seed_oss",
    ),
    "granite": Style(
        special=("<|end_of_text|>", "<|start_of_role|>", "<|end_of_role|>", "<|im_end|>"),
        added=(),
        template=(
            "{#- Write 'Here is my thought process:' before it and 'Here is my response:' after it. -#}"
            "{%- for message in messages -%}"
            "{{- '<|start_of_role|>' + message.role + '<|end_of_role|>' + message.content -}}"
            "{%- if not (continue_final_message and loop.last) -%}{{- '<|im_end|>\\n' -}}{%- endif -%}{%- endfor -%}"
            "{%- if add_generation_prompt -%}{{- '<|start_of_role|>assistant<|end_of_role|>' -}}{%- endif -%}"
        ),
        answer="Here is my thought process: What do bees make? Here is my response: Honey.",
        parser="granite",
        name_in_vllm="granite",
    ),
}
"""Every family ends its turns with the token <|im_end|>, but for gpt-oss, which has <|return|>, and Gemma 4."""


def end_of_turn(family: str) -> str:
    """The token that ends an answer."""
    return {"gptoss": "<|return|>", "gemma4": "<turn|>"}.get(family, "<|im_end|>")


def thinking_tokenizer(family: str) -> Any:
    """A tokenizer with the family's tokens and a template of its shape."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    style = STYLES[family]
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=list(style.special),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    bpe.train_from_iterator([*TEXTS, *_SPELLED], trainer)
    bpe.add_tokens([AddedToken(token, normalized=False, special=False) for token in style.added])
    bos = next((token for token in ("<bos>", "<s>", "<|begin|>") if token in style.special), None)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=bpe, bos_token=bos, eos_token=end_of_turn(family))
    tokenizer.chat_template = style.template
    return tokenizer


def scripted_policy(folder: Path, family: str, text: str) -> Path:
    """A real model, in a folder, that answers any question with this text and then ends its turn.

    A Llama whose one layer adds nothing: each token names the next, so no token of the text may occur twice.

    Raises:
        ValueError: one does.
    """
    import torch
    from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

    tokenizer = thinking_tokenizer(family)
    prompt = tokenizer.apply_chat_template([{"role": "user", "content": "?"}], add_generation_prompt=True)["input_ids"]
    said = tokenizer(text + end_of_turn(family), add_special_tokens=False)["input_ids"]
    path = [prompt[-1], *said]
    if len(set(path)) < len(path):
        raise ValueError(f"{text!r}: a token stands twice: {tokenizer.convert_ids_to_tokens(path)}")
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=512,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        head_dim=256,
        max_position_embeddings=512,
        tie_word_embeddings=False,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        for module in model.modules():
            if "RMSNorm" in type(module).__name__:
                module.weight.fill_(1)
        model.model.embed_tokens.weight.copy_(torch.eye(len(tokenizer), 512))
        for now, after in pairwise(path):
            model.lm_head.weight[after, now] = 1
    model.generation_config = GenerationConfig(eos_token_id=tokenizer.eos_token_id)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
