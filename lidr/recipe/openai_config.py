"""How an OpenAI-compatible server is asked where its model does not take the fields that most take.

policy:
  model: openai:gpt-5-mini@https://api.openai.com/v1
  openai: {token_limit: max_completion_tokens, body: {reasoning_effort: low, temperature: null}, prefill: false}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, JsonValue, field_validator

from lidr.errors import SeveralErrors
from lidr.recipe.frozen import Frozen

_OWNED = {
    "model": "the reference, openai:MODEL@URL",
    "messages": "the step",
    "max_tokens": "max_tokens of the step, and openai.token_limit",
    "max_completion_tokens": "max_tokens of the step, and openai.token_limit",
    "temperature": "temperature of the step",
    "top_p": "top_p of the step",
    "seed": "seed of the recipe",
    "repetition_penalty": "repetition_penalty of the step",
    "stop": "the step",
    "continue_final_message": "openai.prefill",
    "add_generation_prompt": "openai.prefill",
    "n": "the step: one answer for each prompt",
    "stream": "lidr, which reads whole answers",
}
LEFT_OUT = ("temperature", "top_p", "seed")
"""Fields of ours that `body` may take out with null."""


class OpenAIConfig(Frozen):
    """How the server of an openai: model is asked. It can change texts, and so is part of the identity."""

    token_limit: Literal["max_tokens", "max_completion_tokens"] | None = None
    """Name of the field for the longest answer. null: max_tokens, and the other where the server says so when it first
    refuses."""
    body: dict[str, JsonValue] = Field(default_factory=dict)
    """More fields of each request, as the server's manual names them: {reasoning_effort: low}. null takes out one of
    ours: temperature, top_p or seed."""
    prefill: bool = True
    """Begin translations for the model with the opening tag. false: ask plainly and read both tags, as is done too
    where the server refuses a started answer."""

    @field_validator("body")
    @classmethod
    def _body_is_free(cls, body: dict[str, JsonValue]) -> dict[str, JsonValue]:
        wrong = [name for name, value in body.items() if name in _OWNED and not (value is None and name in LEFT_OUT)]
        if wrong:
            raise SeveralErrors([f"body.{name} is set by {_OWNED[name]}; set it there" for name in wrong])
        return body


def openai_identity(config: OpenAIConfig | None) -> dict[str, Any]:
    """What of it is not as it is by itself, for an identity: nothing of it where nothing is said."""
    said = config.model_dump(mode="json", exclude_defaults=True) if config else {}
    return {"openai": said} if said else {}


def server_fields(config: OpenAIConfig | None, kwargs: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What of it an engine is told: fields of `EngineSpec`. `kwargs` are switches of the server's chat template."""
    body = {"chat_template_kwargs": dict(kwargs)} if kwargs else {}
    if config is None:
        return {"body": body} if body else {}
    return {"token_limit": config.token_limit, "body": config.body | body}
