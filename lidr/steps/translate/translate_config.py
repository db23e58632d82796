"""The settings of `translate`: how long, how often, by whom."""

from __future__ import annotations

from pydantic import Field, model_validator

from lidr.recipe import Frozen, PolicyConfig
from lidr.rows import TranslationStatus
from lidr.steps.translate.translator import Translator


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
    check_language: bool = True
    """Whether a text that is confidently in another language than asked for is `wrong_language`."""
    retry: Retry = Retry()
    by: Translator | None = None
    """Who translates; null: the policy itself."""

    @model_validator(mode="after")
    def _fits_the_translator(self) -> TranslateConfig:
        if self.by is not None and self.by.file is not None:
            given = sorted(self.model_fields_set - {"by", "check_language"})
            if given:
                raise ValueError(f"{', '.join(given)} says nothing to a file of translations; take it out")
        elif self.max_tokens is None:
            raise ValueError("max_tokens: missing; it must be given (longest translation, tokens)")
        elif self.by is not None and self.by.beams > 1 and (self.temperature > 0 or self.repetition_penalty != 1):
            raise ValueError("a beam search has no temperature and no repetition_penalty; take them out, or beams")
        return self

    @property
    def models(self) -> tuple[PolicyConfig, ...]:
        """The models that this step brings along, for `lidr lock`."""
        return (self.by.source(),) if self.by is not None and self.by.model is not None else ()
