"""A model, as a recipe names one: where it is, which revision of it, and its number format."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from lidr.recipe.chat_template_config import ChatTemplateConfig
from lidr.recipe.frozen import Frozen
from lidr.recipe.openai_config import OpenAIConfig
from lidr.recipe.reasoning_config import ReasoningConfig
from lidr.references import (
    UNPINNED,
    FolderReference,
    HubReference,
    RunReference,
    ServerReference,
    parse_reference,
)

Dtype = Literal["float32", "bfloat16", "float16"]


def _reference(text: str) -> str:
    parse_reference(text)
    return text


ReferenceText = Annotated[str, AfterValidator(_reference)]


class PolicyConfig(Frozen):
    """The first policy."""

    model: ReferenceText
    """A model: org/name on the Hub, ./folder, run:NAME/iter_K/train, dist:PACKAGE/FILE.gguf, or openai:MODEL@URL."""
    revision: str | None = None
    """For a Hub model: a 40-hex commit, or `unpinned` until `lidr lock` fills it. For a server: a word of yours for the
    model behind it (`2026-11`), which then stands for it in place of the address; change it when the model changes."""
    adapter: ReferenceText | None = Field(None, exclude_if=lambda value: value is None)
    """An adapter of the model (LoRA, DoRA, IA3, ...), which is merged into it first: ./folder, org/name@COMMIT, or
    run:NAME/iter_K/train."""
    merge: bool = Field(True, exclude_if=lambda value: value)
    """false: the adapter, a LoRA, is not merged. The engine answers with it over the model: transformers by peft, vllm
    by a LoRARequest. Answers may be other ones by rounding, so it is identity. Such a policy cannot be trained."""
    dtype: Dtype | Literal["auto"] = "float32"
    """Number format of the weights in generation and training. auto: the checkpoint's own, by its config.json; it is
    resolved when the run is planned, and recorded by its name."""
    trust_remote_code: bool = False
    """Run code that comes with the model. Only for a pinned revision."""
    double_bos: bool = False
    """Begin every prompt of generate, translate and train with one more BOS token, as the authors' code does: the chat
    template writes one, its tokenizer another. `evaluate` sends one."""

    openai: OpenAIConfig | None = Field(None, exclude_if=lambda value: value is None)
    """For a server: how it is asked."""
    reasoning: ReasoningConfig | None = Field(None, exclude_if=lambda value: value is None)
    """What becomes of what it thinks before it answers. null: thoughts are told from answers, stored, and used for
    nothing."""
    chat_template: ChatTemplateConfig | None = Field(None, exclude_if=lambda value: value is None)
    """How the model's chat template is used; null: as the model has it, any date in it fixed at 2026-01-01."""

    @model_validator(mode="after")
    def _server_has_the_template(self) -> PolicyConfig:
        said = self.chat_template
        if said is None or not isinstance(parse_reference(self.model), ServerReference):
            return self
        if only := [name for name in ("file", "date", "training") if getattr(said, name) is not None]:
            raise ValueError(
                f"chat_template.{only[0]}: a server writes its prompts with its own template; take it out, or name the "
                "model itself in place of the server"
            )
        if said.kwargs and self.openai is not None and "chat_template_kwargs" in self.openai.body:
            raise ValueError("chat_template.kwargs and openai.body.chat_template_kwargs say the same; keep one of them")
        return self

    @model_validator(mode="after")
    def _adapter_fits(self) -> PolicyConfig:
        if self.adapter is None:
            if not self.merge:
                raise ValueError("merge: false says how an adapter is used, and none is named; take it out")
            return self
        reference = parse_reference(self.adapter)
        if isinstance(parse_reference(self.model), ServerReference):
            raise ValueError("adapter: a server has no weights here to merge it into; let the server load it")
        if isinstance(reference, HubReference) and not reference.is_pinned:
            raise ValueError(f"adapter: {self.adapter} is not pinned; write {reference.repo}@COMMIT (40 hex digits)")
        if not isinstance(reference, HubReference | FolderReference | RunReference):
            raise ValueError(
                f"adapter: {self.adapter} cannot be one; name ./folder, org/name@COMMIT or run:NAME/iter_K/train"
            )
        return self

    @model_validator(mode="after")
    def _is_server(self) -> PolicyConfig:
        if self.openai is not None and not isinstance(parse_reference(self.model), ServerReference):
            raise ValueError(f"openai says how a server is asked, and {self.model} is none; take it out")
        return self

    @model_validator(mode="after")
    def _revision_fits(self) -> PolicyConfig:
        reference = parse_reference(self.model)
        is_hub = isinstance(reference, HubReference)
        if isinstance(reference, ServerReference):
            if self.revision is not None and not re.fullmatch(rf"(?!{UNPINNED}$)[\w.:+-]{{1,64}}", self.revision):
                raise ValueError(
                    f"revision {self.revision!r}: for a server, a word of at most 64 letters, digits, .:+-_"
                )
            return self
        if self.revision and not is_hub:
            raise ValueError("revision belongs to a Hub model (org/name) or a server; take it out")
        if isinstance(reference, HubReference) and self.revision and reference.revision:
            raise ValueError(f"{self.model} and revision both name a revision; keep one")
        if self.revision and self.revision != UNPINNED and not re.fullmatch(r"[0-9a-f]{40}", self.revision):
            raise ValueError(
                f'revision "{self.revision}" is no 40-hex commit; write `revision: {UNPINNED}` and run '
                "`lidr lock RECIPE`"
            )
        if self.trust_remote_code and is_hub and self.pinned is None:
            raise ValueError("trust_remote_code needs a pinned revision: code that can change must not run")
        return self

    @property
    def pinned(self) -> str | None:
        """The commit of a Hub model, if the recipe names one; a branch or a tag is no pin."""
        reference = parse_reference(self.model)
        given = self.revision or (reference.revision if isinstance(reference, HubReference) else None)
        return given if given is not None and re.fullmatch(r"[0-9a-f]{40}", given) else None
