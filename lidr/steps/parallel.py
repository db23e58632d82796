"""parallel: prompts that are given in the dominant language alone are translated into the others, before `prompts`.

prompts.source         bees-1  en  What do bees make?
prompt_translations    bees-1  en -> es  ¿Qué hacen las abejas?   ok   1 attempt

The recipe's first policy translates, or who `prompts.translate.by` names: as `translate` does with answers, with its
attempts, statuses and journal. Every iteration's prompts are translated by the same model.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from lidr.recipe import ParallelConfig
from lidr.rows import PromptTranslation, RowType
from lidr.steps.answering import ANSWER_FIELDS
from lidr.steps.prompts import given_ids, id_advice, outside_prompts, read_given
from lidr.steps.step_kind import Expected, InitialPolicy, Outcome, Policy, Scale, StepKind, StepRun, Surroundings
from lidr.steps.translate import check_fits, identity_translate, outside_translate, translate_texts


def run_parallel(run: StepRun) -> Outcome:
    """Translate the prompts of the iteration's slice that can be used; one engine start for all of it."""
    from lidr.transforms import select_prompts

    languages, sliced = run.recipe.languages, run.recipe.iterations[run.iteration - 1]
    table = read_given(run)
    usable = select_prompts(table, dominant=languages.dominant, others=(), start=sliced.start, stop=sliced.stop).prompts

    def texts() -> Iterator[tuple[str, str, str, str]]:
        for prompt_id, language, text in usable.iter_rows():
            for other in languages.others:
                yield prompt_id, language, other, text

    _check_fits(run.around, run.config, table["prompt_id"].to_list())
    inputs = {Policy.name: run.inputs[InitialPolicy.name]} if InitialPolicy.name in run.inputs else {}
    return translate_texts(replace(run, inputs=inputs), texts, PromptTranslation)


def also_read_parallel(config: ParallelConfig) -> tuple[RowType, ...]:
    """The first policy, where it translates."""
    return (InitialPolicy,) if config.by is None else ()


def identity_parallel(config: ParallelConfig) -> dict[str, Any]:
    """As of `translate`; what counts as translated decides `prompts`, not what is asked."""
    kept = identity_translate(config)
    return {name: value for name, value in kept.items() if name != "accept"}


def outside_parallel(around: Surroundings, config: ParallelConfig) -> dict[str, Any]:
    """The prompts' content and how they are read, and the translator, as of `translate`."""
    prompts = around.recipe.prompts
    assert prompts is not None
    read = prompts.model_dump(mode="json", include={"id_prefix", "columns", "ids", "config", "split"})
    found = {"prompts": outside_prompts(around, prompts), "read": read, **outside_translate(around, config)}
    if config.by is not None and config.by.file is not None and (ids := given_ids(around, prompts)) is not None:
        _check_fits(around, config, ids)
    return found


def _check_fits(around: Surroundings, config: ParallelConfig, ids: Sequence[str]) -> None:
    """See that a file of translations is one of these prompts, in every iteration."""
    prompts = around.recipe.prompts
    if config.by is None or config.by.file is None or prompts is None:
        return
    languages, slices = around.recipe.languages, [(one.start, one.stop) for one in around.recipe.iterations]
    check_fits(
        config.by.file, around.recipe_folder, ids, slices, languages, lambda theirs: id_advice(around, prompts, theirs)
    )


def expect_parallel(config: ParallelConfig, scale: Scale) -> Expected:
    """N L requests, and retries for those that fail."""
    requests = scale.prompts * scale.others
    if config.by is not None and not config.by.is_chat:
        return Expected(requests, "translations")
    return Expected(
        requests, "requests", requests * (config.max_tokens or 0), "+ retries" if config.retry.times else ""
    )


STEP = StepKind(
    name="parallel",
    config=ParallelConfig,
    reads=(),
    also_reads=also_read_parallel,
    writes=PromptTranslation,
    run=run_parallel,
    expects=expect_parallel,
    uses=("languages", "iteration.prompts", *ANSWER_FIELDS),
    outside=outside_parallel,
    identity=identity_parallel,
    place="iteration",
    section="parallel",
)
