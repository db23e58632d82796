"""prompts: the iteration's slice of the parallel prompts, checked and cleaned. The first step of every iteration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lidr.errors import PlanError, RowError
from lidr.hub import PublishedPrompts, fetch_prompts, identity_of_prompts, local_copy, read_published
from lidr.languages import LANGUAGES
from lidr.recipe import PromptsConfig
from lidr.resources import resolve_source
from lidr.rows import Prompt
from lidr.steps.ledger import Ledger
from lidr.steps.step_kind import Expected, Outcome, Scale, StepKind, StepRun, Surroundings, Unresolved
from lidr.store import file_sha256

SUFFIXES = (".jsonl", ".json", ".parquet")


def run_prompts(run: StepRun) -> Outcome:
    """Read every language's file, join by id, take the slice, drop what cannot be used with its reason."""
    import polars as pl

    from lidr.transforms import DROP_REASONS, instruct, read_prompts, select_prompts

    config: PromptsConfig = run.config
    languages = run.recipe.languages
    sliced = run.recipe.iterations[run.iteration - 1]
    run.progress.start(sliced.stop - sliced.start, "prompts")
    ledger = Ledger(run, DROP_REASONS)
    table = read_prompts(prompt_folder(run.around, config), languages.all, id_prefix=config.id_prefix)
    result = select_prompts(
        table, dominant=languages.dominant, others=languages.others, start=sliced.start, stop=sliced.stop
    )
    prompts = result.prompts
    if config.language_instruction:
        prompts = instruct(prompts, {code: LANGUAGES[code].name for code in languages.all})
    run.out.data.write(prompts.to_arrow(compat_level=pl.CompatLevel.oldest()).cast(Prompt.schema))
    ledger.drop(result.dropped, step="prompts")
    run.progress.add(sliced.stop - sliced.start)
    kept = prompts.height // len(languages.all)
    if kept == 0:
        reasons = ", ".join(f"{row['reason']} {row['count']}" for row in ledger.counts()["dropped"])
        raise RowError(f"prompts {sliced.prompts}: none can be used ({reasons}); mend the files in {config.source}")
    return Outcome({"prompts": kept, "dropped": ledger.counts()["dropped"]}, run.progress.rate())


def identity_prompts(config: PromptsConfig) -> dict[str, Any]:
    """What is done with the prompts; they themselves are identified by their content (see outside_prompts)."""
    return config.model_dump(mode="json", exclude={"source", "license"})


def outside_prompts(around: Surroundings, config: PromptsConfig) -> dict[str, Any]:
    """The prompts are identity by the content of their files; of published ones the sums are known beforehand."""
    codes = around.recipe.languages.all
    source = _source(around, config)
    if isinstance(source, Path):
        return {"files": {path.name: file_sha256(path) for code in codes for path in files_of(source, code)}}
    fixed = identity_of_prompts(source, codes, around.lock.commits)
    if fixed is None:
        names = ", ".join(sorted({part.dataset for _, part in source.parts(codes) if part.dataset}))
        raise Unresolved(
            f"prompts.source: the data set {names} is unpinned: `lidr lock RECIPE` fills its commit; or set LIDR_DATA "
            f"to a folder with {source.local}/LANG.jsonl for every language, or give --data FOLDER"
        )
    return {"files": fixed}


def prompt_folder(around: Surroundings, config: PromptsConfig) -> Path:
    """Where the prompts are; published ones that are not here yet are downloaded into the store."""
    source = _source(around, config)
    if isinstance(source, Path):
        return source
    return fetch_prompts(source, around.recipe.languages.all, around.lock.commits, around.store_root / ".downloads")


def _source(around: Surroundings, config: PromptsConfig) -> Path | PublishedPrompts:
    """The folder that holds the prompts, or the list of published files that are to be brought here."""
    path, codes = resolve_source(config.source, around.recipe_folder), around.recipe.languages.all
    if path is None:
        raise Unresolved(f"{config.source}: set LIDR_DATA to the folder that holds them, or give --data FOLDER")
    if path.suffix == ".json" and path.is_file():
        published = read_published(path, codes)
        return local_copy(published, codes) or published
    if not path.is_dir():
        raise PlanError(f"prompts.source: no folder {path}; give a folder with one LANG.jsonl for each language")
    return path


def files_of(source: Path, language: str) -> list[Path]:
    """The file of a language: the first that exists of LANG.jsonl, LANG.json, LANG.parquet."""
    return [path for suffix in SUFFIXES if (path := source / f"{language}{suffix}").is_file()][:1]


def expect_prompts(config: PromptsConfig, scale: Scale) -> Expected:
    """N prompts in each language."""
    return Expected(scale.prompts, "prompts")


STEP = StepKind(
    name="prompts",
    config=PromptsConfig,
    reads=(),
    writes=Prompt,
    run=run_prompts,
    expects=expect_prompts,
    uses=("languages", "iteration.prompts"),
    outside=outside_prompts,
    identity=identity_prompts,
    place="iteration",
    section="prompts",
)
