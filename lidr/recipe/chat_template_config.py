"""How the policy's chat template is used: the same wherever the policy is asked or trained.

policy:
  model: Qwen/Qwen3-0.6B
  chat_template: {kwargs: {enable_thinking: false}}
"""

from __future__ import annotations

import datetime
import re
from typing import Any

from pydantic import Field, JsonValue, field_validator

from lidr.engines import FIXED_DATE
from lidr.errors import SeveralErrors
from lidr.recipe.frozen import Frozen

_OWNED = {
    "messages": "the step",
    "conversation": "the step",
    "tools": "lidr, which asks without tools",
    "documents": "lidr, which asks without documents",
    "add_generation_prompt": "the step",
    "continue_final_message": "the step",
    "chat_template": "chat_template.file",
    "strftime_now": "chat_template.date",
    "raise_exception": "transformers",
    "tokenize": "the engine",
    "return_dict": "the engine",
    "return_tensors": "the engine",
    "return_assistant_tokens_mask": "the trainer",
    "padding": "the engine",
    "truncation": "the engine",
    "max_length": "max_length of the step train",
}
_TOKENS = re.compile(r"(bos|eos|pad|unk|sep|cls|mask)_token")

_WORDS = {**dict.fromkeys(("yes", "on", "true"), "true"), **dict.fromkeys(("no", "off", "false"), "false")}
"""What YAML of old read as true or false: today's reads text, and a template that asks `is false` goes on thinking."""

AUTO = "auto"


class ChatTemplateConfig(Frozen):
    """The policy's chat template: its switches, another file in its place, the date that it writes. It counts in
    generate, translate, measure, train and evaluate, and is part of the identity."""

    kwargs: dict[str, JsonValue] = Field(default_factory=dict)
    """Switches that the template reads, by its own names: {enable_thinking: false}, {reasoning_effort: low}. Of a
    server they are sent as chat_template_kwargs."""
    file: str | None = Field(None, exclude_if=lambda value: value is None)
    """A Jinja file that takes the place of the model's own template."""
    date: datetime.date | None = Field(None, exclude_if=lambda value: value is None)
    """Today, for a template that writes the date; null: 2026-01-01, the same on any day."""
    training: str | None = Field(None, exclude_if=lambda value: value is None)
    """For a template that does not write a prompt and its answer as it writes the prompt: what an answer is trained
    with. auto: TRL's training template where it has one that fits, else the thought that the prompt opens is closed at
    once; or a Jinja file."""

    @field_validator("kwargs")
    @classmethod
    def _kwargs_are_free(cls, kwargs: dict[str, JsonValue]) -> dict[str, JsonValue]:
        wrong = [_wrong(name, value) for name, value in kwargs.items()]
        if said := [one for one in wrong if one is not None]:
            raise SeveralErrors(said)
        return kwargs

    @property
    def day(self) -> datetime.date:
        """The date that the template writes."""
        return self.date or FIXED_DATE


def _wrong(name: str, value: JsonValue) -> str | None:
    meant = _meant(name, value)
    if meant is not None:
        found = f'"{value}" is text' if isinstance(value, str) else f"{value} is a number"
        return f"kwargs.{name}: {found}, which a template does not read as {meant}: write {meant}"
    owner = _OWNED.get(name) or ("the tokenizer" if _TOKENS.fullmatch(name) else None)
    if owner is not None:
        return f"kwargs.{name} is set by {owner}; take it out"
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        return f"kwargs: {name!r} is no name that a template could read: letters, digits and _"
    return None


def _meant(name: str, value: JsonValue) -> str | None:
    """The truth value that was meant by a word, or by a number for a switch; None for any other value."""
    if isinstance(value, str):
        return _WORDS.get(value.strip().lower())
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return ("true" if value else "false") if is_number and value in (0, 1) and name.startswith("enable") else None


def template_kwargs(config: ChatTemplateConfig | None) -> dict[str, Any]:
    """The switches; none where nothing is said."""
    return dict(config.kwargs) if config else {}


def template_identity(config: ChatTemplateConfig | None) -> dict[str, Any]:
    """What of it changes a prompt, files apart: nothing where nothing is said. How answers are trained is the train
    step's own.
    """
    said = config.model_dump(mode="json", exclude={"file", "training"}, exclude_defaults=True) if config else {}
    return {"chat_template": said} if said else {}
