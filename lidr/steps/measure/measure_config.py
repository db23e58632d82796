"""The settings of `measure`: what is measured, of how many prompts."""

from __future__ import annotations

from collections.abc import Collection

from pydantic import Field

from lidr.recipe import Frozen
from lidr.steps.evaluate import JudgeConfig
from lidr.steps.score import REFEREES


class RoundTrip(Frozen):
    """The dominant answer, translated by the policy and back again."""

    max_tokens: int = Field(ge=1)
    """Longest translation, tokens."""
    repetition_penalty: float = Field(1.0, gt=0)
    """1 is none."""


class Margin(Frozen):
    """The policy's own log-probabilities; one forward pass over the pairs, in the policy's dtype."""

    max_length: int = Field(1024, ge=8)
    """Prompt plus completion, tokens; longer pairs are left out."""


class MeasureConfig(Frozen):
    """What is measured, of how many prompts."""

    sample: int | None = Field(None, ge=1)
    """Prompts that are looked at, drawn by a hash of their ids; null: all."""
    judge: JudgeConfig | None = None
    """Marks answers and compares them; null leaves that out."""
    gold: str | None = None
    """Folder with LANG.jsonl of lines {id, response}: the number that is right."""
    round_trip: RoundTrip | None = None
    margin: Margin | None = None


def can_referee(config: MeasureConfig) -> bool:
    """Whether reward accuracy is measured."""
    return config.judge is not None or config.gold is not None


def referees_of_scorers(config: MeasureConfig, scorers: Collection[str]) -> list[str]:
    """Who scorers are held against: what this step is given, else the scorer of the same name."""
    return [name for name in REFEREES if getattr(config, name) is not None or name in scorers]
