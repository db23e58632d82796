"""filter: pairs that a rule of the recipe sorts out go to the dropped rows, each with its reason and measured value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_validator

from lidr.errors import PlanError
from lidr.recipe import Frozen, LanguageCode
from lidr.rows import Kind, Pair, Response
from lidr.steps.ledger import Ledger
from lidr.steps.step_kind import Expected, Outcome, Scale, StepKind, StepRun, Surroundings, identity_of
from lidr.store import Artifact
from lidr.transforms import LENGTHS

if TYPE_CHECKING:
    from lidr.transforms import SourceFacts

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


class TranslationLength(Frozen):
    """Characters of a translation against those of its source, beside what is usual in that direction."""

    factor: float | None = Field(None, gt=1)
    """At most so many times as long or as short as usual; null: as measured (2.2; 2.4 with ja, 3.2 with zh)."""
    characters: dict[LanguageCode, float] = Field(default_factory=dict)
    """Characters for one of English, for languages that lidr has not measured: {sw: 1.1}."""

    @model_validator(mode="after")
    def _are_lengths(self) -> TranslationLength:
        if wrong := [f"{code}: {value}" for code, value in self.characters.items() if not value > 0]:
            raise ValueError(f"characters: {', '.join(wrong)}: must be above 0")
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
    """dominant, non_dominant, sampled; empty: all."""

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
    translation_length: TranslationLength | None = Field(None, exclude_if=lambda value: value is None)
    """Drop a pair whose translated side is much longer or shorter than translations are."""
    lost_question: bool = Field(False, exclude_if=lambda value: not value)
    """Drop a pair whose translated side asks nothing although its source ends with a question: it may be an answer."""
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
        against_source=_sources(run) if _needs_sources(config) else None,
        script_share=config.script.min_share if config.script else None,
        language_confidence=config.language.min_confidence if config.language else None,
        language_of=config.language.of if config.language else "chosen",
        duplicates=config.duplicates,
        repeated=_repeated(pairs) if config.duplicates else None,
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


def _repeated(pairs: Artifact) -> frozenset[int]:
    """What comes more than once, so that not every pair has to be remembered."""
    import polars as pl

    from lidr.transforms import Repeats

    repeats = Repeats()
    for batch in pairs.batches(ROWS_PER_BATCH, Repeats.COLUMNS):
        repeats.add(pl.DataFrame(batch))
    return repeats.found


def _needs_sources(config: FilterConfig) -> bool:
    return config.translation_length is not None or config.lost_question


def _sources(run: StepRun) -> SourceFacts:
    """How long each answer is and whether it ends with a question; the texts themselves are let go."""
    import polars as pl

    from lidr.transforms import SourceFacts, source_facts

    batches = run.inputs[Response.name].batches(ROWS_PER_BATCH)
    facts = [source_facts(pl.DataFrame(batch)) for batch in batches]
    length: TranslationLength | None = run.config.translation_length
    return SourceFacts(
        pl.concat(facts),
        length=length is not None,
        factor=length.factor if length else None,
        characters=length.characters if length else {},
        questions=run.config.lost_question,
    )


def identity_filter(config: FilterConfig) -> dict[str, Any]:
    """All settings."""
    return identity_of(config, later=("only", "translation_length", "lost_question"))


def outside_filter(around: Surroundings, config: FilterConfig) -> dict[str, Any]:
    """Nothing; but a language without pairs, or without a measured length, is refused before anything runs."""
    spoken = around.recipe.languages
    others = spoken.all if around.recipe.are_pairs_sampled else spoken.others
    if config.only and (wrong := [code for code in config.only.languages if code not in others]):
        raise PlanError(
            f"filter.only.languages: {', '.join(wrong)}: no pairs are made with it; the other languages of this "
            f"recipe: {', '.join(others)}"
        )
    if (length := config.translation_length) is not None:
        unknown = [code for code in around.recipe.languages.all if code not in {*LENGTHS, *length.characters}]
        if unknown:
            raise PlanError(
                f"filter.translation_length: lidr has measured no length for {', '.join(unknown)}; measured: "
                f"{', '.join(LENGTHS)}; say how many characters a translation has for one of English: "
                f"characters: {{{unknown[0]}: 1.1}}"
            )
    return {}


def expect_filter(config: FilterConfig, scale: Scale) -> Expected:
    """At most every pair; with `only`, at most one of a prompt for each language and kind that it names."""
    if config.only is None or not scale.prompts:  # of sets of pairs nobody knows the prompts
        return Expected(scale.pairs, "pairs")
    made = {"sampled"} if scale.are_sampled else {"dominant", "non_dominant"}
    languages = len(set(config.only.languages)) or (scale.languages if scale.are_sampled else scale.others)
    asked = scale.prompts * languages * len(made & set(config.only.kinds or made))
    return Expected(min(asked, scale.pairs), "pairs")


STEP = StepKind(
    name="filter",
    config=FilterConfig,
    reads=(Pair,),
    writes=Pair,
    run=run_filter,
    expects=expect_filter,
    uses=("languages",),
    outside=outside_filter,
    also_reads=lambda config: (Response,) if _needs_sources(config) else (),
    identity=identity_filter,
    version=2,  # 2: a side may be in any language, not only in those of the recipe
)
