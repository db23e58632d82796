"""filter: pairs that a rule of the recipe sorts out go to the dropped rows, each with its reason and measured value."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from lidr.errors import PlanError
from lidr.recipe import Frozen, LanguageCode
from lidr.rows import Kind, Pair
from lidr.steps.ledger import Ledger
from lidr.steps.step_kind import Expected, Outcome, Scale, StepKind, StepRun, Surroundings, identity_of

ROWS_PER_BATCH = 4_000


class Ngram(Frozen):
    """Repeated n-grams."""

    n: int = Field(8, ge=1)
    """Length of the n-gram: words, or characters where a script has no spaces."""
    share: float = Field(0.3, gt=0, le=1)
    """Largest share of the text that repeated n-grams may cover."""


class Repetition(Frozen):
    """Texts that repeat themselves."""

    lines: int | None = Field(None, ge=2)
    """A line that occurs this often (the authors' rule: 5)."""
    ngram: Ngram | None = None
    """Repeated n-grams over a share of the text."""


class LengthRatio(Frozen):
    """Characters of chosen divided by characters of rejected."""

    min: float = Field(0.2, gt=0)
    """Smallest ratio."""
    max: float = Field(5.0, gt=0)
    """Largest ratio."""

    @model_validator(mode="after")
    def _ordered(self) -> LengthRatio:
        if self.min >= self.max:
            raise ValueError(f"min {self.min} must be below max {self.max}")
        return self


class Script(Frozen):
    """Letters in the scripts of the pair's language."""

    min_share: float = Field(0.5, gt=0, le=1)
    """Smallest share of the letters."""


class LanguageOf(Frozen):
    """The detected language of an answer."""

    of: Literal["chosen", "both"] = "chosen"
    """Which side must be in the pair's language; an off-target rejected answer is a fair weaker one."""
    min_confidence: float = Field(0.8, gt=0, le=1)
    """How sure the detection of another language must be to drop the pair."""


class Only(Frozen):
    """Pairs that an ablation wants; the others are dropped with the reason `only`."""

    languages: tuple[LanguageCode, ...] = ()
    """Non-dominant languages; empty: all."""
    kinds: tuple[Kind, ...] = ()
    """dominant, non_dominant; empty: both."""

    @model_validator(mode="after")
    def _names_some(self) -> Only:
        if not self.languages and not self.kinds:
            raise ValueError("name languages or kinds, or take `only` out")
        return self


class FilterConfig(Frozen):
    """The filters, each off until named."""

    only: Only | None = None
    """Keep only pairs of these languages and kinds."""
    repetition: Repetition | None = None
    length_ratio: LengthRatio | None = None
    copied_source: bool = False
    """Drop a pair with a side that only repeats its prompt."""
    script: Script | None = None
    language: LanguageOf | None = None
    duplicates: bool = False
    """Drop a pair whose prompt, chosen and rejected all repeat an earlier pair's."""


def run_filter(run: StepRun) -> Outcome:
    """Stream the pairs through the filters."""
    import polars as pl

    from lidr.transforms import NgramLimit, PairFilter

    config: FilterConfig = run.config
    pairs = run.inputs[Pair.name]
    repetition = config.repetition or Repetition()
    pair_filter = PairFilter(
        languages=run.recipe.languages.all,
        only_languages=config.only.languages if config.only else (),
        only_kinds=config.only.kinds if config.only else (),
        repetition_lines=repetition.lines,
        repetition_ngram=NgramLimit(repetition.ngram.n, repetition.ngram.share) if repetition.ngram else None,
        length_ratio=(config.length_ratio.min, config.length_ratio.max) if config.length_ratio else None,
        copied_source=config.copied_source,
        script_share=config.script.min_share if config.script else None,
        language_confidence=config.language.min_confidence if config.language else None,
        language_of=config.language.of if config.language else "chosen",
        duplicates=config.duplicates,
    )
    run.progress.start(pairs.rows, "pairs")
    ledger = Ledger(run, pair_filter.reasons)
    run.out.start_tables()  # without a pair they are there all the same
    for batch in pairs.batches(ROWS_PER_BATCH):
        frame = pl.DataFrame(batch)
        kept, dropped = pair_filter(frame)
        run.out.data.write(kept.to_arrow(compat_level=pl.CompatLevel.oldest()))
        ledger.drop(dropped, step="filter")
        ledger.keep(kept)
        run.progress.add(frame.height)
    return Outcome(ledger.counts(), run.progress.rate())


def identity_filter(config: FilterConfig) -> dict[str, Any]:
    """All settings."""
    return identity_of(config, later=("only",))


def outside_filter(around: Surroundings, config: FilterConfig) -> dict[str, Any]:
    """Nothing; but a language that has no pairs is refused before anything runs."""
    others = around.recipe.languages.others
    if config.only and (wrong := [code for code in config.only.languages if code not in others]):
        raise PlanError(
            f"filter.only.languages: {', '.join(wrong)}: no pairs are made with it; the other languages of this "
            f"recipe: {', '.join(others)}"
        )
    return {}


def expect_filter(config: FilterConfig, scale: Scale) -> Expected:
    """At most every pair."""
    return Expected(scale.slots, "pairs")


STEP = StepKind(
    name="filter",
    config=FilterConfig,
    reads=(Pair,),
    writes=Pair,
    run=run_filter,
    expects=expect_filter,
    uses=("languages",),
    outside=outside_filter,
    identity=identity_filter,
)
