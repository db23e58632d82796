"""Chat templates of the shapes that current families have, written for the tests over ChatML's tokens (tests/tiny.py,
family qwen2). What differs between them is what breaks a chain.
"""

from __future__ import annotations

import json
from pathlib import Path

from tests.tiny import tiny_model

HYBRID = """
{%- for message in messages %}
{{- '<|im_start|>' + message.role + '\\n' }}
{%- if message.role == 'assistant' and loop.last %}{{ '<think>\\n\\n</think>\\n\\n' }}{% endif %}
{{- message.content + '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
{{- '<|im_start|>assistant\\n' }}
{%- if enable_thinking is defined and enable_thinking is false %}{{- '<think>\\n\\n</think>\\n\\n' }}{% endif %}
{%- endif %}
"""
"""Thinks unless `enable_thinking` is false, which puts an empty thought into the prompt."""

DATED = """
{%- if date_style is not defined %}{%- set date_style = "%d %B %Y" %}{%- endif %}
{{- '<|im_start|>system\\nToday: ' + strftime_now(date_style) + '. Effort: ' + effort | default('medium') }}
{{- '<|im_end|>\\n' }}
{%- for message in messages %}
{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}
"""
"""Writes today's date into the system turn."""

OPEN_THOUGHT = """
{%- for message in messages %}
{%- set content = message.content.split('</think>')[-1] if message.role == 'assistant' else message.content %}
{{- '<|im_start|>' + message.role + '\\n' + content + '<|im_end|>' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n<think>\\n' }}{%- endif %}
"""
"""A prompt opens a thought, and a past answer has none: an answer is never written as it was asked."""

REWRITES = """
{%- for message in messages %}
{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant (final)\\n' }}{%- endif %}
"""
"""A prompt ends otherwise than an answer begins, and nothing can be closed."""

NO_PREFILL = """
{%- for message in messages %}
{{- '<|im_start|>' + message.role + '\\n' + (message.content | replace('<translated>', '')) + '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}
"""
"""Takes tags out of messages, so that no answer can be started with one."""

NO_SYSTEM = """
{%- if messages[0].role == 'system' %}{{- raise_exception('no system turn') }}{%- endif %}
{%- for message in messages %}
{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}
"""


def shaped(folder: Path, template: str, *, ends: bool = True) -> Path:
    """A tiny model with one of these templates; without `ends` its files name <|endoftext|> alone as an end."""
    tiny_model(folder, "qwen2")
    split_newlines(folder)
    (folder / "chat_template.jinja").write_text(template, encoding="utf-8")
    if not ends:
        (folder / "generation_config.json").unlink()
        for name, field in (("config.json", "eos_token_id"), ("tokenizer_config.json", "eos_token")):
            data = json.loads((folder / name).read_text(encoding="utf-8"))
            data[field] = 0 if field == "eos_token_id" else "<|endoftext|>"
            (folder / name).write_text(json.dumps(data), encoding="utf-8")
    return folder


def split_newlines(folder: Path) -> None:
    """Keep "\n\n" in one piece before a word too, as the tokenizers of Qwen and Llama 3 do; tiny's does not."""
    from tokenizers import Regex, Tokenizer
    from tokenizers.pre_tokenizers import ByteLevel, Sequence, Split

    file = str(folder / "tokenizer.json")
    tokenizer = Tokenizer.from_file(file)
    newlines = Split(Regex(r"\s*[\r\n]+|\s+(?!\S)|\s+"), behavior="isolated")
    tokenizer.pre_tokenizer = Sequence([newlines, ByteLevel(add_prefix_space=False)])
    tokenizer.save(file)
