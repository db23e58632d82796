"""prompts: the iteration's slice of the parallel prompts, checked and cleaned. The first step of every iteration."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lidr import release
from lidr.errors import RowError
from lidr.languages import LANGUAGES
from lidr.recipe import PromptsConfig
from lidr.rows import Prompt, PromptTranslation, RowType
from lidr.steps.ledger import Ledger
from lidr.steps.prompts.prompt_place import place_of_prompts
from lidr.steps.prompts.prompt_table import makes_ids, prompt_texts, read_prompts
from lidr.steps.prompts.reading_notes import blank_rows, reading_notes
from lidr.steps.step_kind import Expected, Outcome, Scale, StepKind, StepRun, Surroundings

if TYPE_CHECKING:
    import polars as pl


def run_prompts(run: StepRun) -> Outcome:
    """Read every language's prompts, join by id, take the slice, drop what cannot be used with its reason."""
    import polars as pl

    from lidr.transforms import DROP_REASONS, UNTRANSLATED, as_sampled, instruct, select_prompts, with_translations

    config: PromptsConfig = run.config
    languages = run.recipe.languages
    sliced = run.recipe.iterations[run.iteration - 1]
    run.progress.start(sliced.stop - sliced.start, "prompts")
    ledger = Ledger(run, (*DROP_REASONS, UNTRANSLATED) if config.translate else DROP_REASONS)
    table = read_given(run)
    if config.translate:
        others = [table.with_columns(language=pl.lit(other), text=pl.lit("-")) for other in languages.others]
        table = pl.concat([table, *others])  # what is empty or repeated is told from the text that is given
    result = select_prompts(
        table, dominant=languages.dominant, others=languages.others, start=sliced.start, stop=sliced.stop
    )
    if config.translate:
        translations = pl.DataFrame(run.inputs[PromptTranslation.name].read())
        result = with_translations(
            result,
            translations,
            dominant=languages.dominant,
            others=languages.others,
            accept=config.translate.accept,
        )
    prompts = result.prompts
    if config.language_instruction:
        prompts = instruct(prompts, {code: LANGUAGES[code].name for code in languages.all})
    run.out.data.write(prompts.to_arrow(compat_level=pl.CompatLevel.oldest()).cast(Prompt.schema))
    is_sampled = run.recipe.are_pairs_sampled
    ledger.drop(as_sampled(result.dropped, languages.all) if is_sampled else result.dropped, step="prompts")
    run.progress.add(sliced.stop - sliced.start)
    kept = prompts.height // len(languages.all)
    if kept == 0:
        reasons = ", ".join(f"{row['reason']} {row['count']}" for row in ledger.counts()["dropped"])
        raise RowError(f"prompts {sliced.prompts}: none can be used ({reasons}); mend the files in {config.source}")
    made = _made_ids(run.around, config)
    counts = {"prompts": kept, "dropped": ledger.counts()["dropped"]} | ({"ids": made} if made else {})
    counts |= _left_out(run.around, config)
    return Outcome(counts, run.progress.rate())


def read_given(run: StepRun) -> pl.DataFrame:
    """The prompts that are given, in all languages or in the dominant one: the columns of rows.Prompt."""
    config = run.recipe.prompts
    assert config is not None
    codes = given_languages(run.around, config)
    source = place_of_prompts(run.around, config, codes).fetched()
    return read_prompts(source, codes, id_prefix=config.id_prefix, columns=config.columns, ids=config.ids)


def _made_ids(around: Surroundings, config: PromptsConfig) -> str | None:
    codes = given_languages(around, config)
    return makes_ids(place_of_prompts(around, config, codes).fetched(), codes, config.columns, config.ids)


def _left_out(around: Surroundings, config: PromptsConfig) -> dict[str, int]:
    """How many rows of files that are here are blank, and so no prompts; empty where none is."""
    codes = given_languages(around, config)
    found = place_of_prompts(around, config, codes).found
    blank = blank_rows(found, codes, config) if isinstance(found, Path) else 0
    return {"blank_rows": blank} if blank else {}


def identity_prompts(config: PromptsConfig) -> dict[str, Any]:
    """What is done with the prompts; they themselves are identified by their content (see outside_prompts)."""
    kept: dict[str, Any] = config.model_dump(mode="json", exclude={"source", "license", "translate"})
    return kept | ({"accept": list(config.translate.accept)} if config.translate else {})


def given_languages(around: Surroundings, config: PromptsConfig) -> tuple[str, ...]:
    """The languages that the prompts are given in: all, or the dominant one alone where they are translated."""
    languages = around.recipe.languages
    return (languages.dominant,) if config.translate else languages.all


def also_read_prompts(config: PromptsConfig) -> tuple[RowType, ...]:
    """The translations, where prompts are given in one language."""
    return (PromptTranslation,) if config.translate else ()


def outside_prompts(around: Surroundings, config: PromptsConfig) -> dict[str, Any]:
    """The prompts are identity by the content of their files; of published ones the sums are known beforehand.

    A first row of files that are here is read, so that a column that is not there is named before anything runs.
    """
    codes = given_languages(around, config)
    place = place_of_prompts(around, config, codes)
    if isinstance(place.found, Path):
        makes_ids(place.found, codes, config.columns, config.ids)
    return place.identity()


def check_prompts(around: Surroundings, config: PromptsConfig) -> Sequence[str]:
    """Whether prompts that are here are parallel and as many as the iterations take; of others nothing is read.

    Returns:
        What a person should know of how they are read.

    Raises:
        PlanError, RowError: what is wrong of the files.
    """
    codes, iterations = given_languages(around, config), around.recipe.iterations
    found = place_of_prompts(around, config, codes).found
    remark = release.licence_remark("prompts.license", config.license)
    said = [] if remark is None else [remark]
    if not isinstance(found, Path):
        return said
    how: dict[str, Any] = {"id_prefix": config.id_prefix, "columns": config.columns, "ids": config.ids}
    ids = [list(texts) for texts in prompt_texts(found, codes, **how).values()]
    if all(set(own) == set(ids[0]) for own in ids) and max(one.stop for one in iterations) <= len(ids[0]):
        return [*said, *reading_notes(found, codes, config)]
    from lidr.transforms import select_prompts

    table = read_prompts(found, codes, **how)
    for one in iterations:
        select_prompts(table, dominant=codes[0], others=codes[1:], start=one.start, stop=one.stop)
    return [*said, *reading_notes(found, codes, config)]


def expect_prompts(config: PromptsConfig, scale: Scale) -> Expected:
    """N prompts in each language."""
    return Expected(scale.prompts, "prompts")


STEP = StepKind(
    name="prompts",
    config=PromptsConfig,
    reads=(),
    also_reads=also_read_prompts,
    writes=Prompt,
    run=run_prompts,
    expects=expect_prompts,
    uses=("languages", "iteration.prompts"),
    outside=outside_prompts,
    identity=identity_prompts,
    checks=check_prompts,
    place="iteration",
    section="prompts",
    version=2,  # 2: what is empty or repeated is told without white space and marks that no reader sees
)
