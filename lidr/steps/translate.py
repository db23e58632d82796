"""translate: the same policy translates its own answers, d -> xx and xx -> d, with the paper's prompt and prefill.

`by` puts somebody else in its place: see `lidr/steps/translator.py`.

responses      bees-1  es  Las abejas hacen miel.
translations   bees-1  es -> en  Bees make honey.   ok   1 attempt
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pydantic import Field, model_validator

from lidr.errors import RowError
from lidr.recipe.schema import Frozen, PolicyConfig
from lidr.rows import Translation, TranslationStatus
from lidr.steps.answering import Answering, outside_answers
from lidr.steps.kind import Expected, Outcome, Policy, Scale, StepRun, Surroundings, identity_of
from lidr.steps.translation_file import read_translations, translation_files
from lidr.steps.translator import Translator, name_of, outside_translator, translator_spec

if TYPE_CHECKING:
    from lidr.steps.tries import Item


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


def run_translate(run: StepRun) -> Outcome:
    """Translate every response, failed ones again by the recipe's retries; one engine start for all of it."""
    import pyarrow as pa

    from lidr.steps.tries import counts_of, items_of

    by: Translator | None = run.config.by
    items = list(items_of(run))
    counts = look_up(run, items) if by is not None and by.file is not None else _ask(run, items)
    policy = run.inputs[Policy.name].name if by is None else name_of(run.around, by)
    columns = ("prompt_id", "source", "target", "raw", "attempts")
    rows = [
        {name: getattr(item, name) for name in columns}
        | {"text": item.parsed.text, "status": item.parsed.status, "policy": policy}
        for item in items
    ]
    run.out.data.write(pa.Table.from_pylist(rows, Translation.schema))
    return Outcome(counts_of(items) | counts, run.progress.rate())


def _ask(run: StepRun, items: Sequence[Item]) -> dict[str, Any]:
    """Ask the policy, or the model in its place, and failed ones again."""
    from lidr.steps.tries import is_due, requests_of, take

    config: TranslateConfig = run.config
    by = config.by
    with Answering(run, None if by is None else lambda: translator_spec(run, by)) as answering:
        for number in range(config.retry.times + 1):
            requests = {item.key: requests_of(run, item, number) for item in items if is_due(item, config, number)}
            flat = [request for batch in requests.values() for request in batch]
            if number == 0:
                run.progress.start(len(flat), "requests", done=answering.known(flat))
            else:
                run.progress.more(len(flat), done=answering.known(flat))
            answers = answering.ask(flat)
            for item in items:
                if (batch := requests.get(item.key)) is not None:  # it may be empty: nothing in it is to translate
                    take(run, item, [answers[request.key] for request in batch])
    return {}


def look_up(run: StepRun, items: Sequence[Item]) -> dict[str, Any]:
    """Take the translations from a file. An answer without one is `empty`, after no attempt, and counted as missing.

    Raises:
        RowError: a translation says that it is of another answer than the policy gave.
    """
    from lidr.transforms.translations import Parsed
    from lidr.transforms.untagged import read_whole

    config: TranslateConfig = run.config
    assert config.by is not None
    assert config.by.file is not None
    given = read_translations(translation_files(config.by.file, run.around.recipe_folder))
    run.progress.start(len(items), "translations")
    missing = unchecked = 0
    for item in items:
        run.progress.add()
        found = given.get((item.prompt_id, item.source, item.target))
        if not item.response.strip():
            continue
        if found is None:
            item.parsed, missing = Parsed("", "empty"), missing + 1
            continue
        if found.source_text is not None and found.source_text.strip() != item.response.strip():
            raise RowError(
                f"{found.place}: {item.key} translates another answer than the policy gave in this run; translate its "
                "answers (the data of the step generate), or take source_text out to use it all the same"
            )
        unchecked += found.source_text is None
        target = item.target if config.check_language else None
        item.parsed = read_whole(found.text, item.response, target=target, candidates=run.recipe.languages.all)
        item.raw, item.attempts = found.text, 1
    return {"missing": missing, "unchecked": unchecked}


def identity_translate(config: TranslateConfig) -> dict[str, Any]:
    """All settings; the translator by what it is, not by where it lies (see outside_translate)."""
    kept = identity_of(config, later=("by",))
    return kept if config.by is None else kept | {"by": config.by.identity()}


def outside_translate(around: Surroundings, config: TranslateConfig) -> dict[str, Any]:
    """Canned answers, and the translator's commit or digests."""
    if config.by is None:
        return outside_answers(around, config)
    return {"translator": outside_translator(around, config.by)}


def expect_translate(config: TranslateConfig, scale: Scale) -> Expected:
    """2 N L requests, and retries for those that fail."""
    requests = scale.slots
    if config.by is not None and config.by.engine is not None and not config.by.is_chat:
        return Expected(requests, "translations", note="each line a request")
    note = "+ retries" if config.retry.times else ""
    return Expected(requests, "requests", requests * (config.max_tokens or 0), note)
