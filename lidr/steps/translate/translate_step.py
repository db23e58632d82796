"""translate: the same policy translates its own answers, d -> xx and xx -> d, with the paper's prompt and prefill.

`by` puts somebody else in its place: see `lidr/steps/translate/translator.py`.

responses      bees-1  es  Las abejas hacen miel.
translations   bees-1  es -> en  Bees make honey.   ok   1 attempt
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lidr.errors import RowError
from lidr.rows import Response, Translation
from lidr.steps.answering import ANSWER_FIELDS, Answering, outside_answers
from lidr.steps.step_kind import Expected, Outcome, Policy, Scale, StepKind, StepRun, Surroundings, identity_of
from lidr.steps.translate.translate_config import TranslateConfig
from lidr.steps.translate.translation_file import read_translations, translation_files
from lidr.steps.translate.translator import Translator, outside_translator, translator_name, translator_spec

if TYPE_CHECKING:
    from lidr.steps.translate.attempts import PendingTranslation


def run_translate(run: StepRun) -> Outcome:
    """Translate every response, failed ones again by the recipe's retries; one engine start for all of it."""
    from lidr.steps.translate.attempts import pending_of, translation_counts

    by: Translator | None = run.config.by
    items = list(pending_of(run))
    counts = look_up(run, items) if by is not None and by.file is not None else _ask(run, items)
    policy = run.inputs[Policy.name].name if by is None else translator_name(run.around, by)
    columns = ("prompt_id", "source", "target", "raw", "attempts")
    rows = [
        {name: getattr(item, name) for name in columns}
        | {"text": item.parsed.text, "status": item.parsed.status, "policy": policy}
        for item in items
    ]
    run.out.data.write(pa.Table.from_pylist(rows, Translation.schema))
    return Outcome(translation_counts(items) | counts, run.progress.rate())


def _ask(run: StepRun, items: Sequence[PendingTranslation]) -> dict[str, Any]:
    """Ask the policy, or the model in its place, and failed ones again."""
    from lidr.steps.translate.attempts import is_due, read_answers, requests_of

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
                    read_answers(run, item, [answers[request.key] for request in batch])
    return {}


def look_up(run: StepRun, items: Sequence[PendingTranslation]) -> dict[str, Any]:
    """Take the translations from a file. An answer without one is `empty`, after no attempt, and counted as missing.

    Raises:
        RowError: a translation says that it is of another answer than the policy gave.
    """
    from lidr.transforms import Parsed, read_whole

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


STEP = StepKind(
    name="translate",
    config=TranslateConfig,
    reads=(Response, Policy),
    writes=Translation,
    run=run_translate,
    expects=expect_translate,
    uses=("languages", *ANSWER_FIELDS),
    outside=outside_translate,
    identity=identity_translate,
)
