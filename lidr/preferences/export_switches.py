"""What an export says of the switches of the chat template that its pairs were made with: each trainer has its own way
to give a template the same, or none, and would else train on other prompts than the policy was asked with.

As these trainers had it when it was written: LLaMA-Factory in `src/llamafactory/data/template.py` at ff6d4d12, axolotl
in `src/axolotl/prompt_strategies/dpo/chat_template.py` at 067b021c.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from lidr.engines import set_switches

Switches = Mapping[str, Any]

_LLAMA_FACTORY = """\
LLaMA-Factory writes prompts by templates of its own, not by the model's. `enable_thinking` does the same to those for
reasoning (`template: qwen3`). A template that ends in `_nothink` is for models without the switch, and writes other
prompts."""
_ITS_OWN = "LLaMA-Factory writes prompts by templates of its own, which read no {names}: compare one with the model's."
_TRL = "TRL hands each row's `chat_template_kwargs` to the template, so that it trains on the same prompts."
_FIRST_LINE = "Write this as the first line of the chat template, in a copy of the model's folder:"
_AXOLOTL = f"axolotl hands a chat template no switches for DPO: its `chat_template_kwargs` is for SFT. {_FIRST_LINE}"
_OTHERS = f"Give the template the same, with every prompt. {_FIRST_LINE}"
_SEVERAL = """\
Not all pairs were made with the same switches of the model's chat template: the column `chat_template_kwargs` says with
which. Export those of each apart, or train with TRL, which hands each row's to the template."""


def switches_said(switches: Switches) -> str:
    """Names and values.

    >>> switches_said({"enable_thinking": False})
    '`enable_thinking: false`'
    """
    return ", ".join(f"`{name}: {json.dumps(value, ensure_ascii=False)}`" for name, value in sorted(switches.items()))


def how_switched(to: str, found: Sequence[Switches]) -> str:
    """What the README says below how to train; nothing where no pair was made with a switch.

    Args:
        to: a key of FORMS.
        found: the different switches of the pairs; {} are pairs without any.
    """
    if not any(found):
        return ""
    if len(found) > 1:
        return _SEVERAL
    (switches,) = found
    made = f"The pairs were made with {switches_said(switches)} of the model's chat template."
    if to == "trl":
        return f"{made} {_TRL}"
    if to == "llama-factory":
        return f"{made} {_for_llama_factory(switches)}"
    return f"{made} {_AXOLOTL if to == 'axolotl' else _OTHERS}\n\n```jinja\n{set_switches(switches)}\n```"


def _for_llama_factory(switches: Switches) -> str:
    its_own = sorted(switches.keys() - {"enable_thinking"})
    said = [_ITS_OWN.format(names=", ".join(f"`{name}`" for name in its_own))] if its_own else []
    if "enable_thinking" in switches:
        value = json.dumps(switches["enable_thinking"])
        said.insert(0, f"{_LLAMA_FACTORY} Add:\n\n```yaml\nenable_thinking: {value}\n```")
    return "\n\n".join(said)


def with_comment(settings: str, said: str) -> str:
    """The lines of a YAML file with what the README says of the switches as a comment above them."""
    lines = [line for line in said.splitlines() if line and not line.startswith("```")]
    return "".join(f"# {line}\n" for line in lines) + settings
