"""translate: the same policy translates its own answers, d -> xx and xx -> d, with the paper's prompt and prefill.

`by` puts somebody else in its place: see `lidr/steps/translate/translator.py`.

responses      bees-1  es  Las abejas hacen miel.
translations   bees-1  es -> en  Bees make honey.   ok   1 attempt
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from lidr.engines import engine_row
from lidr.errors import RowError
from lidr.recipe import ParallelConfig, Recipe, TranslateConfig, Translator
from lidr.rows import SAMPLE, Response, RowType, Translation
from lidr.steps.answering import ANSWER_FIELDS, Answering, Tally, outside_answers
from lidr.steps.local_policy import check_temperature, check_window
from lidr.steps.score import SCORERS, AnswerScores, scorer_of
from lidr.steps.step_kind import (
    ITS_SERVER,
    Beside,
    Expected,
    Outcome,
    Policy,
    Scale,
    StepKind,
    StepRun,
    Surroundings,
    by_server,
    identity_of,
)
from lidr.steps.translate.translation_file import GivenTranslation, read_translations, translation_files
from lidr.steps.translate.translator import (
    notes_translator,
    outside_translator,
    section_of,
    translator_name,
    translator_spec,
)
from lidr.store import in_tables

if TYPE_CHECKING:
    from lidr.steps.translate.attempts import PendingTranslation, Standings

Texts = Callable[[], "Iterator[PendingTranslation]"]
"""What is to be translated, from its beginning each time it is asked for: texts are read again, not kept."""

_READ_AT_ONCE = 512
"""Translations of a file that are held against their sources in one go."""


def run_translate(run: StepRun) -> Outcome:
    """Translate every response, failed ones again by the recipe's retries; one engine start for all of it."""
    from lidr.steps.translate.attempts import pending_of

    return translate_all(run, lambda: pending_of(run), Translation)


def translate_texts(run: StepRun, texts: Callable[[], Iterable[tuple[str, str, str, str]]], rows: RowType) -> Outcome:
    """Translate texts that are no answers: of each its prompt's id, its language, that asked for, and the text."""
    from lidr.steps.translate.attempts import PendingTranslation

    return translate_all(run, lambda: (PendingTranslation(*text) for text in texts()), rows)


def translate_all(run: StepRun, texts: Texts, rows: RowType) -> Outcome:
    """Translate texts and write them, in their order."""
    by: Translator | None = run.config.by
    if by is not None and by.file is not None:
        counts: dict[str, Any] = {}
        found = _write(run, look_up(run, texts, counts), rows, thinks=False)
        return Outcome(found | counts, run.progress.rate())
    from lidr.steps.translate.attempt_stream import AttemptStream
    from lidr.steps.translate.readers import Readers

    tally = Tally()
    with Answering(run, None if by is None else lambda: translator_spec(run)) as answering:
        with Readers(run.log) as readers:
            standings = AttemptStream(run, answering, tally, readers).run(texts)
        counts = _counts(run, tally)
        found = _write(run, _answered(run, texts, answering, standings), rows, thinks="thoughts" in counts)
    return Outcome(found | counts, run.progress.rate(), tally.served)


def _write(run: StepRun, items: Iterator[PendingTranslation], rows: RowType, *, thinks: bool) -> dict[str, Any]:
    """Write translations; what is counted of them."""
    from lidr.steps.translate.attempts import TranslationCounts

    by: Translator | None = run.config.by
    policy = run.inputs[Policy.name].name if by is None else translator_name(run.around, run.config)
    found = TranslationCounts()
    first = next(items, None)
    is_sampled = first is not None and first.sample is not None
    more = (*(("reasoning", "reasoning_tokens") if thinks else ()), *((SAMPLE,) if is_sampled else ()))

    def written() -> Iterator[dict[str, Any]]:
        for item in chain(() if first is None else (first,), items):
            found.add(item)
            yield vars(item) | {"policy": policy}

    for table in in_tables(written(), rows.schema_with(more if first is not None else ())):
        run.out.data.write(table)
    return found.counts


def _answered(run: StepRun, texts: Texts, answering: Answering, standings: Standings) -> Iterator[PendingTranslation]:
    """The translations with the texts of their best attempts."""
    from lidr.steps.translate.attempts import keys_of, with_texts

    for number, item in enumerate(texts()):
        if standings.stand(number, item).attempts:
            said = [answering.answer(key) for key in keys_of(run.config, item, item.best)]
            with_texts(run.config, item, said)
        yield item


def _counts(run: StepRun, tally: Tally) -> dict[str, Any]:
    """What was not answered; and of a policy that thinks before its answers, how many of its translations it has
    thought about: a template may turn that off where an answer is started.
    """
    counts: dict[str, Any] = {"unanswered": tally.unanswered} if tally.unanswered else {}
    responses = run.inputs.get(Response.name)
    if tally.thoughts or (run.config.by is None and responses is not None and "reasoning" in responses.columns):
        none = {"answers": 0, "unclosed": 0, "tokens": 0}
        counts["thoughts"] = {"asked": tally.asked, **(tally.thoughts or none)}
    return counts


def look_up(run: StepRun, texts: Texts, counts: dict[str, Any]) -> Iterator[PendingTranslation]:
    """Take the translations from a file. An answer without one is `empty`, after no attempt, and counted as missing.

    Raises:
        RowError: a translation says that it is of another answer than the policy gave.
    """
    from lidr.transforms import checked, read_given

    config: TranslateConfig = run.config
    assert config.by is not None
    assert config.by.file is not None
    where = f"{section_of(config)}.by.file"
    given = read_translations(translation_files(config.by.file, run.around.recipe_folder, where))
    run.progress.start(sum(1 for _ in texts()), "translations")
    counts |= {"missing": 0, "unchecked": 0}
    left = texts()
    while some := list(islice(left, _READ_AT_ONCE)):
        taken = [
            item for item in some if _is_given(item, given, counts, are_prompts=isinstance(config, ParallelConfig))
        ]
        read = [read_given(item.raw, item.response) for item in taken]
        targets = [item.target if config.check_language else None for item in taken]
        for item, parsed in zip(taken, checked(read, targets, run.recipe.languages.all), strict=True):
            item.text, item.status = parsed
        run.progress.add(len(some))
        yield from some


def _is_given(
    item: PendingTranslation,
    given: Mapping[tuple[str, str, str], GivenTranslation],
    counts: dict[str, Any],
    *,
    are_prompts: bool,
) -> bool:
    """Take one translation; whether there is any."""
    found = given.get((item.prompt_id, item.source, item.target))
    if not item.response.strip():
        return False
    if found is None:
        item.status = "empty"
        counts["missing"] += 1
        return False
    if found.source_text is not None and found.source_text.strip() != item.response.strip():
        other = "text than this prompt's; translate the prompts themselves"
        if not are_prompts:
            other = "answer than the policy gave in this run; translate its answers (the data of the step generate)"
        raise RowError(
            f"{found.place}: {item.key} translates another {other}, or take source_text out to use it all the same"
        )
    counts["unchecked"] += found.source_text is None
    item.raw, item.attempts = found.text, 1
    return True


def identity_translate(config: TranslateConfig) -> dict[str, Any]:
    """All settings; the translator by what it is, not by where it lies (see outside_translate)."""
    kept = identity_of(config, later=("by", "top_k", "min_p", "presence_penalty", "best_by"))
    return kept if config.by is None else kept | {"by": config.by.identity()}


def outside_translate(around: Surroundings, config: TranslateConfig) -> dict[str, Any]:
    """Canned answers, and the translator's commit or digests."""
    if config.best_by is not None:
        scorer_of(around, config.best_by, "translate.best_by")
    where = section_of(config)
    if engine := around.recipe.runtime.engine if config.by is None else config.by.engine:
        check_temperature(engine, f"{where}.temperature", config.temperature)
        check_temperature(engine, f"{where}.retry.temperature", config.retry.temperature)
    if config.by is None:
        check_window(around, f"{where}.max_tokens", config.max_tokens)
        return outside_answers(around, config)
    return {"translator": outside_translator(around, config)}


def also_read_translate(config: TranslateConfig) -> tuple[RowType, ...]:
    """The scores, where they say which answers are translated."""
    return (AnswerScores,) if config.best_by is not None else ()


def check_translate(around: Surroundings, config: TranslateConfig) -> tuple[str, ...]:
    """Canned answers and a file of translations must be there; a translator's weights are not read. That it is not
    pinned is noted.
    """
    if config.by is None or config.by.file is not None:
        outside_translate(around, config)
        return ()
    return notes_translator(around, config)


def expect_translate(config: TranslateConfig, scale: Scale) -> Expected:
    """2 N L requests, and retries for those that fail."""
    requests = 2 * scale.prompts * scale.others * (1 if config.best_by is not None else scale.answers)
    if config.by is not None and config.by.engine is not None and not config.by.is_chat:
        return Expected(requests, "translations", note="each line a request")
    note = "+ retries" if config.retry.times else ""
    return Expected(requests, "requests", requests * (config.max_tokens or 0), note)


def beside_translate(recipe: Recipe, config: TranslateConfig, expected: Expected) -> Iterator[Beside]:
    """A translation model, which no estimate knows the speed of."""
    if expected.unit == "translations":
        yield Beside("translate", expected.count, "translations")


def alone_translate(recipe: Recipe, config: Any) -> Iterator[tuple[str, str]]:
    """Of who translates, as of `StepKind`."""
    if config.by is None:
        yield from by_server(recipe, "translate")
    elif config.by.engine is not None and engine_row(config.by.engine).model == "server":
        yield "translate.by", ITS_SERVER


def notes_translate(recipe: Recipe, config: TranslateConfig) -> Iterator[str]:
    """How many answers nothing reads, where the best in the dominant language is translated and in others the first.

    Scorers that vote over all languages read them, as do pairs from scores; `measure` and `gate` may.
    """
    given = {step.name: step.config for step in recipe.chain}
    answers, others = getattr(given.get("generate"), "n", 1), len(recipe.languages.others)
    scorer = getattr(given.get("score"), str(config.best_by), None)
    if config.best_by is None or answers == 1 or scorer is None:
        return
    is_read = SCORERS[config.best_by].of_all_languages(scorer) or {"measure", "gate"} & given.keys()
    if not is_read and getattr(given.get("pair"), "from_", "") != "scores":
        unread, made = (answers - 1) * others, answers * (others + 1)
        yield (
            f"translate.best_by: nothing reads {unread} of the {made} answers to a prompt that generate.n {answers} "
            f"asks for: in {', '.join(recipe.languages.others)} the first one stands"
        )


STEP = StepKind(
    name="translate",
    config=TranslateConfig,
    reads=(Response, Policy),
    also_reads=also_read_translate,
    writes=Translation,
    run=run_translate,
    expects=expect_translate,
    beside=beside_translate,
    asks=True,
    uses=("languages", *ANSWER_FIELDS),
    outside=outside_translate,
    alone=alone_translate,
    checks=check_translate,
    notes=notes_translate,
    identity=identity_translate,
    # 2: what is the same in both languages is ok, what was left in part is not; any language may be wrong; what was
    # thought is no part of an answer
    version=2,
    resumes_since=1,  # a status decides whether an attempt is made; what it asks depends on `truncated` alone
)
