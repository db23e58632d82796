"""Chat templates of the same shape as those of current families: our own words, their structure.

What a pipeline trips over is kept: where thoughts stand and what becomes of them in past turns, dates of today, default
system turns, system turns that are folded or refused, generation prompts that open or close a thought or that do not
exist, what stands after an answer, and whether anything does.
"""

from __future__ import annotations

from tests.tiny import GEMMA_TEMPLATE, im_template

GEMMA2 = GEMMA_TEMPLATE
QWEN25 = im_template("You help people as well as you can.")

_LAST_QUESTION = """
{%- set talk = namespace(question=-1) -%}
{%- for m in messages -%}
{%- if m['role'] == 'user' -%}{%- set talk.question = loop.index0 -%}{%- endif -%}
{%- endfor -%}
"""

_SPLIT_THOUGHTS = """
{%- set said = m['content'] -%}
{%- set thoughts = m['reasoning_content'] if m['reasoning_content'] is defined else '' -%}
{%- if m['role'] == 'assistant' and not thoughts and '</think>' in said -%}
{%- set thoughts = (said.split('</think>') | first).split('<think>') | last -%}
{%- set said = said.split('</think>') | last -%}
{%- endif -%}
"""

_QWEN_TURNS = (
    _LAST_QUESTION
    + "{%- for m in messages -%}"
    + _SPLIT_THOUGHTS
    + """
{{- '<|im_start|>' + m['role'] + '\\n' -}}
{%- if m['role'] == 'assistant' and loop.index0 > talk.question -%}
{{- '<think>\\n' + thoughts.strip('\\n') + '\\n</think>\\n\\n' + said.lstrip('\\n') -}}
{%- elif m['role'] == 'assistant' -%}{{- said.lstrip('\\n') -}}
{%- else -%}{{- said -}}{%- endif -%}
{{- '<|im_end|>\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}
"""
)
_NO_THOUGHT = "{{- '<think>\\n\\n</think>\\n\\n' -}}"
_THINKS_IF_ASKED = "{%- if enable_thinking is defined and enable_thinking is true -%}"
_THINKS_UNLESS_TOLD = "{%- if enable_thinking is defined and enable_thinking is false -%}"
_OPEN = "{{- '<think>\\n' -}}"

QWEN3 = _QWEN_TURNS + _THINKS_UNLESS_TOLD + _NO_THOUGHT + "{%- endif -%}{%- endif -%}"
"""Thinks of itself; an answer opens its thought; past thoughts are left out, the last answer always has a block."""
QWEN35 = _QWEN_TURNS + _THINKS_UNLESS_TOLD + _NO_THOUGHT + "{%- else -%}" + _OPEN + "{%- endif -%}{%- endif -%}"
"""The generation prompt opens the thought: an answer has the closing tag alone."""
QWEN35_SMALL = _QWEN_TURNS + _THINKS_IF_ASKED + _OPEN + "{%- else -%}" + _NO_THOUGHT + "{%- endif -%}{%- endif -%}"
"""Thinks only if asked."""

CHATML = """
{%- for m in messages -%}{{- '<|im_start|>' + m['role'] + '\\n' + m['content'] + '<|im_end|>\\n' -}}{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}
"""
EUROLLM = (
    "{%- if messages[0]['role'] != 'system' -%}{{- '<|im_start|>system\\n<|im_end|>\\n' -}}{%- endif -%}"
    + CHATML.strip()
)
"""An empty system turn where none is given."""
OLMO3_THINK = CHATML.replace("assistant\\n'", "assistant\\n<think>'")
"""The generation prompt opens the thought, and an answer is written as it is given: the two never meet."""

R1 = """
{{- bos_token -}}
{%- for m in messages -%}
{%- if m['role'] == 'system' -%}{{- m['content'] -}}
{%- elif m['role'] == 'user' -%}{{- '<｜User｜>' + m['content'] -}}
{%- else -%}{{- '<｜Assistant｜>' + (m['content'].split('</think>') | last) + '<｜end▁of▁sentence｜>' -}}{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<｜Assistant｜><think>\\n' -}}{%- endif -%}
"""
"""The generation prompt opens the thought, and every written answer has lost it."""

LLAMA31 = """
{{- bos_token -}}
{%- set today = date_string if date_string is defined else DATE -%}
{%- set given = messages[0]['role'] == 'system' -%}
{{- '<|start_header_id|>system<|end_header_id|>\\n\\nToday is ' + today + '.\\n\\n' -}}
{{- (messages[0]['content'] | trim if given else '') + '<|eot_id|>' -}}
{%- for m in (messages[1:] if given else messages) -%}
{{- '<|start_header_id|>' + m['role'] + '<|end_header_id|>\\n\\n' + m['content'] | trim + '<|eot_id|>' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' -}}{%- endif -%}
"""
LLAMA32 = LLAMA31.replace("DATE", "strftime_now('%d %b %Y')")
"""A system turn with the date of today."""
LLAMA31 = LLAMA31.replace("DATE", "'05 May 2024'")
"""A system turn with a date that stays."""

GEMMA3 = """
{{- bos_token -}}
{%- set given = messages[0]['role'] == 'system' -%}
{%- for m in (messages[1:] if given else messages) -%}
{{- '<start_of_turn>' + ('model' if m['role'] == 'assistant' else m['role']) + '\\n' -}}
{%- if given and loop.first -%}{{- messages[0]['content'] + '\\n\\n' -}}{%- endif -%}
{{- m['content'] | trim + '<end_of_turn>\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<start_of_turn>model\\n' -}}{%- endif -%}
"""
"""A system message becomes the head of the first question."""

GEMMA4 = """
{{- bos_token -}}
{%- set given = messages[0]['role'] == 'system' -%}
{%- set thinks = enable_thinking is defined and enable_thinking -%}
{%- if given or thinks -%}
{{- '<|turn>system\\n' + ('<|think|>\\n' if thinks else '') -}}
{{- (messages[0]['content'] | trim if given else '') + '<turn|>\\n' -}}
{%- endif -%}
{%- for m in (messages[1:] if given else messages) -%}
{{- '<|turn>' + ('model' if m['role'] == 'assistant' else m['role']) + '\\n' -}}
{{- ((m['content'].split('<channel|>') | last) | trim) + '<turn|>\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|turn>model\\n' -}}{%- endif -%}
"""

MISTRAL = """
{{- bos_token -}}
{%- set given = messages[0]['role'] == 'system' -%}
{{- '[SYSTEM_PROMPT]' -}}
{{- messages[0]['content'] if given else 'You answer briefly. It is ' + strftime_now('%Y-%m-%d') + ' today.' -}}
{{- '[/SYSTEM_PROMPT]' -}}
{%- for m in (messages[1:] if given else messages) -%}
{{- '[INST]' + m['content'] + '[/INST]' if m['role'] == 'user' else m['content'] + eos_token -}}
{%- endfor -%}
"""
"""No generation prompt, and the date of today where no system message is given."""
MIXTRAL = """
{{- bos_token -}}
{%- for m in messages -%}
{%- if m['role'] not in ('user', 'assistant') -%}{{- raise_exception('only user and assistant') -}}{%- endif -%}
{{- ' [INST] ' + m['content'] + ' [/INST]' if m['role'] == 'user' else ' ' + m['content'] + eos_token -}}
{%- endfor -%}
"""
"""No system turn; a space before each answer."""

PHI3 = """
{%- for m in messages -%}{{- '<|' + m['role'] + '|>\\n' + m['content'] + '<|end|>\\n' -}}{%- endfor -%}
{{- '<|assistant|>\\n' if add_generation_prompt else eos_token -}}
"""
"""A whole conversation ends with two tokens: end of turn, and end of text."""
PHI4 = """
{%- for m in messages -%}{{- '<|im_start|>' + m['role'] + '<|im_sep|>' + m['content'] + '<|im_end|>' -}}{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|im_start|>assistant<|im_sep|>' -}}{%- endif -%}
"""

SMOLLM3 = """
{%- set given = messages[0]['role'] == 'system' -%}
{%- set thinks = enable_thinking if enable_thinking is defined else true -%}
{%- if given and '/no_think' in messages[0]['content'] -%}{%- set thinks = false -%}{%- endif -%}
{{- '<|im_start|>system\\n## About\\nDay: ' + strftime_now('%d %B %Y') -}}
{{- '\\nThoughts: ' + ('yes' if thinks else 'no') + '\\n\\n' -}}
{{- (messages[0]['content'].replace('/no_think', '') | trim if given else 'You are small.') + '<|im_end|>\\n' -}}
{%- for m in (messages[1:] if given else messages) -%}
{{- '<|im_start|>' + m['role'] + '\\n' -}}
{%- if m['role'] == 'assistant' and not thinks -%}{{- '<think>\\n\\n</think>\\n' + m['content'].lstrip('\\n') -}}
{%- else -%}{{- m['content'] -}}{%- endif -%}
{{- '<|im_end|>\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{- '<|im_start|>assistant\\n' + ('' if thinks else '<think>\\n\\n</think>\\n') -}}
{%- endif -%}
"""

GPT_OSS = """
{{- '<|start|>system<|message|>You are a language model.\\nToday: ' + strftime_now('%Y-%m-%d') -}}
{{- '\\n\\nEffort: ' + (reasoning_effort if reasoning_effort is defined else 'medium') -}}
{{- '\\n\\nChannels: analysis, final.<|end|>' -}}
{%- for m in messages -%}
{%- if m['role'] == 'system' -%}{{- '<|start|>developer<|message|>' + m['content'] + '<|end|>' -}}
{%- elif m['role'] == 'user' -%}{{- '<|start|>user<|message|>' + m['content'] + '<|end|>' -}}
{%- else -%}
{%- if m['thinking'] is defined and loop.last -%}
{{- '<|start|>assistant<|channel|>analysis<|message|>' + m['thinking'] + '<|end|>' -}}
{%- endif -%}
{{- '<|start|>assistant<|channel|>final<|message|>' + m['content'] -}}
{{- '<|return|>' if loop.last and not add_generation_prompt else '<|end|>' -}}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|start|>assistant' -}}{%- endif -%}
"""

OLMO2 = """
{{- bos_token -}}
{%- for m in messages -%}
{{- '<|' + m['role'] + '|>\\n' + m['content'] -}}
{{- eos_token if m['role'] == 'assistant' else '' -}}{{- '' if loop.last and m['role'] == 'assistant' else '\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|assistant|>\\n' -}}{%- endif -%}
"""
"""Roles are no special tokens; end of turn, end of text and beginning are one."""

AYA = """
{{- bos_token -}}
{%- for m in messages -%}
{%- set who = {'system': 'SYSTEM', 'user': 'USER', 'assistant': 'CHATBOT'}[m['role']] -%}
{{- '<|START_OF_TURN_TOKEN|><|' + who + '_TOKEN|>' + m['content'] | trim + '<|END_OF_TURN_TOKEN|>' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>' -}}{%- endif -%}
"""
COMMAND = """
{{- bos_token + '<|START_OF_TURN_TOKEN|><|SYSTEM_TOKEN|># Rules\\nYou do no harm, and say so where you refuse.' -}}
{%- set given = messages[0]['role'] == 'system' -%}
{{- ('\\n\\n' + messages[0]['content'] if given else '') + '<|END_OF_TURN_TOKEN|>' -}}
{%- for m in (messages[1:] if given else messages) -%}
{{- '<|START_OF_TURN_TOKEN|>' -}}
{%- if m['role'] == 'user' -%}{{- '<|USER_TOKEN|>' + m['content'] -}}
{%- else -%}{{- '<|CHATBOT_TOKEN|><|START_RESPONSE|>' + m['content'] + '<|END_RESPONSE|>' -}}{%- endif -%}
{{- '<|END_OF_TURN_TOKEN|>' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|><|START_RESPONSE|>' -}}{%- endif -%}
"""
"""A preamble of its own, and an answer between two tokens before the turn ends."""
COMMAND_TOOLS = "{{- raise_exception('This template is for tools alone.') -}}"

GRANITE = """
{%- if messages[0]['role'] != 'system' -%}
{{- '<|start_of_role|>system<|end_of_role|>You are a model of a company.<|end_of_text|>\\n' -}}
{%- endif -%}
{%- for m in messages -%}
{{- '<|start_of_role|>' + m['role'] + '<|end_of_role|>' + m['content'] + '<|end_of_text|>\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|start_of_role|>assistant<|end_of_role|>' -}}{%- endif -%}
"""

APERTUS = """
{{- bos_token + '<|system_start|>' -}}
{%- set given = messages[0]['role'] == 'system' -%}
{{- (messages[0]['content'] if given else 'You are a model for all languages.') + '<|system_end|>' -}}
{{- '<|developer_start|>Thoughts: ' + ('on' if enable_thinking is defined and enable_thinking else 'off') -}}
{{- '<|developer_end|>' -}}
{%- for m in (messages[1:] if given else messages) -%}
{{- '<|' + m['role'] + '_start|>' + m['content'] + '<|' + m['role'] + '_end|>' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|assistant_start|>' -}}{%- endif -%}
"""

GLM4 = """
{{- '[gMASK]<sop>' -}}
{%- for m in messages -%}{{- '<|' + m['role'] + '|>\\n' + m['content'] -}}{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|assistant|>\\n' -}}{%- endif -%}
"""
"""Nothing ends an answer but the role of the next turn."""
GLM4_TRAINING = GLM4.replace(
    "m['content'] -}}", "m['content'] -}}{{- '<|user|>' if loop.last and m['role'] == 'assistant' else '' -}}"
)
"""The same, and an answer that is trained ends as one that is generated does."""

LFM2 = "{{- bos_token -}}" + CHATML.strip()
