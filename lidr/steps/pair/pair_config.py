"""The settings of `pair`: which pairs are made, from what, and what may stand in one."""

from __future__ import annotations

from pydantic import ConfigDict, Field, model_validator

from lidr.recipe import Frozen
from lidr.rows import (
    DominantPairs,
    Drop,
    LengthControl,
    OneLanguage,
    PairsFrom,
    PairWeight,
    Pool,
    Select,
    TranslationStatus,
    TranslationTypePolicy,
    Truncated,
)
from lidr.steps.pair.language_bound_prompts import Detector


class TranslationType(Frozen):
    """Prompts that are themselves bound to a language."""

    policy: TranslationTypePolicy = "keep_source"
    """keep_source: chosen is the untranslated dominant answer; skip: no non-dominant pair; translate: as any other."""
    ids: str | None = None
    """File with one prompt id a line; # starts a comment."""
    detector: Detector | None = None
    """Finds more of them by rules; for those that `ids` names too, `policy` holds."""

    @model_validator(mode="after")
    def _says_which(self) -> TranslationType:
        if self.ids is None and self.detector is None:
            raise ValueError("say which prompts: ids (a file with one prompt id a line), or detector, or both")
        return self


class PairConfig(Frozen):
    """Which pairs are made."""

    model_config = ConfigDict(populate_by_name=True, serialize_by_alias=True)

    from_: PairsFrom = Field("translations", alias="from", exclude_if=lambda value: value == "translations")
    """translations: an answer of the dominant language against one of another, one of them translated; scores: two
    answers to one prompt, chosen by what the step `score` says of them, nothing translated."""
    by: str | None = Field(None, exclude_if=lambda value: value is None)
    """From scores: the scorer; null: the only one there is."""
    select: Select = Field("max_min", exclude_if=lambda value: value == "max_min")
    """From scores: best against worst; best against the one nearest to so many sigmas below the mean; or one of all
    pairs whose scores differ, drawn by a hash."""
    sigmas: float = Field(2.0, ge=0, exclude_if=lambda value: value == 2.0)
    """Of nearest_sigma."""
    pool: Pool = Field("language", exclude_if=lambda value: value == "language")
    """From scores: answers are compared within a language, or over all; then the prompt is in the language of chosen,
    and rejected may be in another."""
    length_control: LengthControl = Field("none", exclude_if=lambda value: value == "none")
    """From scores: zero_mean takes so much off each score for a character that chosen answers are on average as long as
    rejected ones; for each language, and for max_min alone."""
    weight: PairWeight = Field("none", exclude_if=lambda value: value == "none")
    """From scores: margin trains each pair in proportion to the difference of its scores; the mean weight is 1 in each
    language."""
    dominant_pairs: DominantPairs = "all"
    """Dominant pairs against all other languages, against one of them, or none."""
    one: OneLanguage = "hash"
    """Under `dominant_pairs: one`, the language whose answer is rejected. hash: drawn for each prompt by its id; last:
    always the last of the other languages, in the recipe's order."""
    drop: Drop = "joint"
    """joint: a failed translation in either direction takes both pairs; independent: only the one that needs it."""
    translation_type: TranslationType | None = None
    """What to do with prompts that ask for a translation; null: they are pairs like any other."""
    accept: tuple[TranslationStatus, ...] = Field(("ok",), min_length=1)
    """Translation statuses whose text may stand in a pair."""
    truncated: Truncated = "keep"
    """Whether an answer cut at max_tokens may stand in a pair."""
    min_kept: float | None = Field(None, ge=0, le=1, exclude_if=lambda value: value is None)
    """Smallest share of an iteration's slots that must be kept: below it the run stops; 0 neither stops nor warns. null
    warns below 0.2 and stops where none is kept. It changes no pair, and is no identity."""

    @model_validator(mode="after")
    def _of_one_kind(self) -> PairConfig:
        sampled = {"by", "select", "sigmas", "pool", "length_control", "weight"}
        translated = {"one", "drop", "translation_type", "accept"}
        is_sampled = self.from_ == "scores"
        fields = type(self).model_fields
        given = {name for name in self.model_fields_set if getattr(self, name) != fields[name].get_default()}
        if wrong := sorted(given & (translated if is_sampled else sampled)):
            usual = [f"{name}: {value}" for name in wrong if (value := fields[name].get_default()) is not None]
            instead = f", or where a base says it write {', '.join(usual)}" if usual else ""
            raise ValueError(f"{', '.join(wrong)} says nothing to pairs from {self.from_}; take it out{instead}")
        if is_sampled and self.dominant_pairs == "one":
            raise ValueError("dominant_pairs: one is of pairs from translations; from scores it is all or none")
        if self.pool == "all" and self.dominant_pairs == "none":
            raise ValueError("dominant_pairs: none contradicts pool: all, where the best answer says the language")
        if self.length_control != "none" and self.select != "max_min":
            raise ValueError(f"length_control: {self.length_control} is of select: max_min, not {self.select}")
        if "sigmas" in given and self.select != "nearest_sigma":
            raise ValueError(f"sigmas is of select: nearest_sigma, not {self.select}; take it out")
        return self
