"""prompts: the iteration's slice of the parallel prompts, checked and cleaned. The first step of every iteration."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lidr.errors import RecipeError, RowError
from lidr.languages import LANGUAGES
from lidr.recipe import PromptsConfig
from lidr.rows import Prompt, PromptTranslation, RowType
from lidr.steps.ledger import Ledger
from lidr.steps.prompts.prompt_place import place_of_prompts
from lidr.steps.prompts.prompt_rows import makes_ids
from lidr.steps.prompts.prompt_table import HowRead, parallel_prompts, prompt_texts, read_prompts
from lidr.steps.prompts.reading_notes import blank_rows, column_with, reading_notes
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
        raise RowError(f"prompts {sliced.prompts}: none can be used ({_why_none(run, result.dropped)}")
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
    return read_prompts(source, codes, **_how(config))


def given_ids(around: Surroundings, config: PromptsConfig) -> list[str] | None:
    """The ids of the prompts in the dominant language, in their order, where their files are here; else None."""
    codes = given_languages(around, config)
    found = place_of_prompts(around, config, codes).found
    if not isinstance(found, Path):
        return None
    return list(prompt_texts(found, codes, **_how(config))[codes[0]])


def _how(config: PromptsConfig) -> HowRead:
    return {"id_prefix": config.id_prefix, "columns": config.columns, "ids": config.ids}


def id_advice(around: Surroundings, config: PromptsConfig, theirs: Collection[str]) -> str:
    """What to do where a file has other ids than the prompts: `theirs`. A column of the prompts that holds them is
    named.
    """
    codes = given_languages(around, config)
    found = place_of_prompts(around, config, codes).found
    made = _made_ids(around, config)
    how = {"content": ", which are made from their texts", "row": ", which are the numbers of their rows", None: ""}[
        made
    ]
    column = column_with(found, codes, theirs) if isinstance(found, Path) else None
    if column is not None:
        instead = f" in place of ids: {config.ids}" if config.ids is not None else ""
        return f"{how}; give prompts.columns: {{id: {column}}}{instead}"
    or_column = ", or the prompts a column of ids: prompts.columns: {id: COLUMN}" if made else ""
    return f"{how}; give its lines the ids of the prompts as prompt_id{or_column}"


def _why_none(run: StepRun, dropped: pl.DataFrame) -> str:
    """Why no prompt of an iteration can be used, each prompt counted once, and what to mend."""
    import polars as pl

    from lidr.transforms import UNTRANSLATED

    config: PromptsConfig = run.config
    once = dropped.unique("prompt_id", maintain_order=True)
    counts = dict(once.group_by("reason", maintain_order=True).len().iter_rows())
    said = ", ".join(f"{reason} {count}" for reason, count in counts.items()) + ")"
    if UNTRANSLATED not in counts or config.translate is None:
        return f"{said}; mend the files in {config.source}"
    made = pl.DataFrame(run.inputs[PromptTranslation.name].read())
    failed = made.filter(~pl.col("status").is_in(list(config.translate.accept)))
    ways = failed.group_by("source", "target", "status", maintain_order=True).len().iter_rows()
    shown = ", ".join(f"{source}->{target} {status} {count}" for source, target, status, count in ways)
    by = config.translate.by
    setting = "prompts.translate" if by is None else f"prompts.translate.by.{'model' if by.file is None else 'file'}"
    and_files = f", and the files in {config.source}" if len(counts) > 1 else ""
    place = f"iter_{run.iteration}/parallel"
    return f"{said}: {shown}; see the rows of {place}, and mend {setting}{and_files}"


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
        RecipeError: iterations that take more than there are, each at its place.
        Unresolved: a data set is unpinned.
    """
    codes, iterations = given_languages(around, config), around.recipe.iterations
    place = place_of_prompts(around, config, codes)
    found = place.found
    if not isinstance(found, Path):
        place.identity()
        return []
    how = _how(config)
    if max(one.stop for one in iterations) <= (parallel_prompts(found, codes, **how) or 0):
        return reading_notes(found, codes, config)
    from lidr.transforms import select_prompts

    table, beyond = read_prompts(found, codes, **how), list[str]()
    select_prompts(table, dominant=codes[0], others=codes[1:], start=0, stop=1)
    for number, one in enumerate(iterations):
        try:
            select_prompts(table, dominant=codes[0], others=codes[1:], start=one.start, stop=one.stop)
        except RowError as error:
            beyond.append(f"iterations[{number}].prompts: {error}")
    if beyond:
        raise RecipeError(beyond[: 1 if around.recipe.repeat else None])
    return reading_notes(found, codes, config)


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
    version=3,  # 2: what is empty or repeated is told without marks that nobody sees; 3: languages in any case, by name
)
