"""The settings of `translate`, and of prompts made parallel: how long, how often, by whom."""

from __future__ import annotations

from pydantic import Field, model_validator

from lidr.recipe.frozen import Frozen
from lidr.recipe.policy_config import PolicyConfig
from lidr.recipe.translator_config import Translator
from lidr.rows import TranslationStatus


class Retry(Frozen):
    """What is tried again when a translation failed; no two tries are alike."""

    times: int = Field(0, ge=0, le=5)
    """How often: first with more tokens if it was truncated, then paragraph by paragraph, then at a temperature."""
    max_tokens: int | None = Field(None, ge=1)
    """Longest translation in a retry, tokens; null: twice as many."""
    temperature: float = Field(0.7, gt=0)
    """Of the last kind of retry."""
    statuses: tuple[TranslationStatus, ...] = ("truncated", "empty", "refused", "copied_source", "wrong_language")
    """What counts as failed here. An answer that only lacks its closing tag is whole, so it is not in this list."""


class TranslateConfig(Frozen):
    """How the policy translates."""

    max_tokens: int | None = Field(None, ge=1)
    """Longest translation, tokens; of a line, where `by` is a model that only translates. Not for a file."""
    temperature: float = Field(0.0, ge=0)
    """0 is greedy."""
    top_p: float = Field(1.0, gt=0, le=1)
    """Nucleus sampling, above temperature 0."""
    repetition_penalty: float = Field(1.0, gt=0)
    """1 is none, as the authors translated."""
    top_k: int = Field(0, ge=0, exclude_if=lambda value: not value)
    """Above temperature 0: draw from so many of the likeliest tokens; 0 is all."""
    min_p: float = Field(0.0, ge=0, le=1, exclude_if=lambda value: not value)
    """Above temperature 0: draw from tokens at least so many times as likely as the likeliest; 0 is all."""
    presence_penalty: float = Field(0.0, ge=-2, le=2, exclude_if=lambda value: not value)
    """Subtracted from the logits of tokens that the translation holds already; 0 is none."""
    check_language: bool = True
    """Whether a text that is confidently in another language than asked for is `wrong_language`."""
    retry: Retry = Retry()
    by: Translator | None = None
    """Who translates; null: the policy itself."""
    best_by: str | None = Field(None, exclude_if=lambda value: value is None)
    """Of several answers to a prompt, translate one: in the dominant language the one that this scorer of the step
    `score` values most, in any other the first. null translates all of them."""

    @model_validator(mode="after")
    def _fits_the_translator(self) -> TranslateConfig:
        if self.by is not None and self.by.file is not None:
            given = sorted(self.model_fields_set - {"by", "check_language", "best_by"})
            if given:
                raise ValueError(f"{', '.join(given)} says nothing to a file of translations; take it out")
        elif self.max_tokens is None:
            raise ValueError("max_tokens: missing; it must be given (longest translation, tokens)")
        elif self.by is not None and self.by.beams > 1 and self._samples:
            raise ValueError("a beam search has no temperature and no penalties; take them out, or beams")
        return self

    @property
    def _samples(self) -> bool:
        return self.temperature > 0 or self.repetition_penalty != 1 or self.presence_penalty != 0

    @property
    def engine(self) -> str | None:
        """The translator's engine; None where the policy's answers."""
        return self.by.engine if self.by is not None else None

    @property
    def models(self) -> tuple[PolicyConfig, ...]:
        """The models that this step brings along, for `lidr lock`."""
        return (self.by.source(),) if self.by is not None and self.by.model is not None else ()


class ParallelConfig(TranslateConfig):
    """How prompts in the dominant language are translated into the others."""

    accept: tuple[TranslationStatus, ...] = Field(("ok", "unclosed_at_end"), min_length=1)
    """What counts as translated; a prompt of which one translation does not is dropped, with each status."""

    @model_validator(mode="after")
    def _of_prompts(self) -> ParallelConfig:
        if self.best_by is not None:
            raise ValueError("best_by chooses among answers, and these are prompts; take it out")
        return self
