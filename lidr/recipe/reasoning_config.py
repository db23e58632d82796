"""What becomes of what a policy thinks before it answers.

policy:
  model: org/name
  reasoning: {budget: 2048, publish: true}
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from lidr.reasoning import FAMILIES
from lidr.recipe.frozen import Frozen

if TYPE_CHECKING:
    Parser = str
else:
    Parser = Literal["auto", "none", *FAMILIES]


class ReasoningConfig(Frozen):
    """Thoughts of the policy. They stand in a column of their own, never in an answer."""

    parser: Parser = "auto"
    """How thoughts are told from answers. auto: by the marks that the chat template and the vocabulary have; none:
    nothing is cut; else the family of the marks."""
    budget: int | None = Field(None, ge=1)
    """Most tokens of a thought, which is then ended; only vLLM can. null sets no end but max_tokens."""
    train: bool = False
    """Train on answers with the thoughts before them, in the form that the chat template reads; a translated side has
    those of the answer that it was translated from."""
    publish: bool = False
    """Whether releases hold the thoughts."""


def reasoning_identity(config: ReasoningConfig | None) -> dict[str, Any]:
    """What of it can change an answer and is not as it is by itself, for an identity."""
    said = config.model_dump(mode="json", include={"parser", "budget"}, exclude_defaults=True) if config else {}
    return {"reasoning": said} if said else {}


def reasoning_fields(config: ReasoningConfig | None) -> dict[str, Any]:
    """What of it an engine is told: fields of `EngineSpec`."""
    return {"reasoning_parser": config.parser, "thinking_budget": config.budget} if config else {}
