"""Parallel prompts: check that they are parallel, take the slice of one iteration, wrap them in an instruction.

prompt_id  language  text
bees       en        What do bees make?
bees       es        ¿Qué hacen las abejas?
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import polars as pl

from lidr.errors import RowError
from lidr.rows import Dropped, Prompt, RowType
from lidr.tables import bare, is_blank

LANGUAGE_INSTRUCTION = (
    "Below is an instruction that describes a task. "
    "Write a response that appropriately completes the request in {language}. Please answer in {language}.\n\n"
    "### Instruction:\n{question}\n\n### Response:\n"
)
"""ZNLP/Language-Imbalance-Driven-Rewarding at bd9764e, utils/inference.py, used there when with_prefix is true."""

_SHOWN = 5  # ids named in a message

DROP_REASONS = ("empty_prompt", "duplicate_prompt")
UNTRANSLATED = "untranslated_prompt"


class PromptResult(NamedTuple):
    """The prompts of one iteration in every language, and the slots of those that cannot be used."""

    prompts: pl.DataFrame
    dropped: pl.DataFrame


def select_prompts(
    prompts: pl.DataFrame, *, dominant: str, others: Sequence[str], start: int, stop: int
) -> PromptResult:
    """Take prompts `start` to `stop` (not included) of the dominant language's order, in every language.

    Positions count the prompts of the file before any is dropped, so the slices of two iterations never overlap and
    neither moves the other. A prompt goes in all languages when its text is empty in one (`empty_prompt`), or when its
    dominant text repeats that of an earlier usable prompt of the whole file (`duplicate_prompt`).

    Returns:
        prompts: NFC-normalised; by position, and for each position the dominant language first, then `others`.
        dropped: two rows for each (prompt, other language), one for each kind of pair; `iteration` is null.

    Raises:
        RowError: ids that differ between languages or stand twice, or a slice that goes beyond the file.

    Example:
        >>> rows = [("1", "en", "Hi"), ("1", "es", "Hola"), ("2", "en", "Bye"), ("2", "es", " ")]
        >>> frame = pl.DataFrame(rows, schema=["prompt_id", "language", "text"], orient="row")
        >>> result = select_prompts(frame, dominant="en", others=["es"], start=0, stop=2)
        >>> result.prompts["text"].to_list(), result.dropped["detail"].to_list()
        (['Hi', 'Hola'], ['empty in es', 'empty in es'])
    """
    languages = [dominant, *others]
    ranks = pl.DataFrame({"language": languages}).with_row_index("rank")
    rows = prompts.select(Prompt.schema.names).with_columns(pl.col("text").str.normalize("NFC"))
    rows = rows.join(ranks, on="language", maintain_order="left")
    _check_parallel(rows, languages)
    order = rows.filter(language=dominant).select("prompt_id").with_row_index("position")
    if not 0 <= start < stop <= len(order):
        raise RowError(
            f"prompts {start}:{stop} go beyond the file: it has {len(order)} prompts, so at most 0:{len(order)}"
        )
    unusable = _unusable(rows.join(order, on="prompt_id"))
    rows = rows.join(order.slice(start, stop - start), on="prompt_id").sort("position", "rank")
    kept = rows.join(unusable, on="prompt_id", how="anti", maintain_order="left")
    dropped = rows.filter(language=dominant).join(unusable, on="prompt_id")
    return PromptResult(kept.select(Prompt.schema.names), _slots(dropped, dominant, others))


def with_translations(
    result: PromptResult, translations: pl.DataFrame, *, dominant: str, others: Sequence[str], accept: Sequence[str]
) -> PromptResult:
    """Put translations in the place of the texts in the other languages, and drop prompts that were not translated.

    Args:
        result: of `select_prompts`; its texts in the other languages do not count.
        translations: columns `prompt_id`, `target`, `text`, `status`; one row for each prompt and other language.
        accept: statuses of a translation that counts.

    Returns:
        The prompts of which every translation counts. The others are dropped as `untranslated_prompt`, in every slot,
        whose detail is the status of its own translation, and of those that failed.
    """
    given = translations.select("prompt_id", pl.col("target").alias("language"), translated="text", status="status")
    rows = result.prompts.join(given, on=["prompt_id", "language"], how="left", maintain_order="left")
    is_lost = (pl.col("language") != dominant) & ~pl.col("status").is_in(list(accept)).fill_null(False)
    text = pl.when(language=dominant).then("text").otherwise(pl.col("translated").str.normalize("NFC"))
    rows = rows.with_columns(is_lost=is_lost, text=text)
    said = pl.format("{} {}", "language", pl.col("status").fill_null("missing"))
    lost = rows.filter("is_lost").group_by("prompt_id", maintain_order=True).agg(failed=said)
    kept = rows.join(lost, on="prompt_id", how="anti", maintain_order="left").select(Prompt.schema.names)
    own = rows.filter(pl.col("language") != dominant).select("prompt_id", other="language", own=said)
    dropped = (
        rows.filter(language=dominant).join(lost, on="prompt_id", maintain_order="left").with_row_index("position")
    )
    slots = _slots(dropped.with_columns(reason=pl.lit(UNTRANSLATED), detail=pl.lit("")), dominant, others)
    other = pl.when(kind="dominant").then("other_language").otherwise("language")
    slots = slots.with_columns(other=other).join(own, on=["prompt_id", "other"], how="left", maintain_order="left")
    slots = slots.join(lost.with_columns(pl.col("failed").list.join(", ")), on="prompt_id", maintain_order="left")
    detail = (
        pl.when(pl.col("own") == pl.col("failed"))
        .then("own")
        .otherwise(pl.format("{}; the prompt is dropped for {}", "own", "failed"))
    )
    return PromptResult(
        kept, pl.concat([result.dropped, slots.with_columns(detail=detail).select(result.dropped.columns)])
    )


def instruct(prompts: pl.DataFrame, names: Mapping[str, str]) -> pl.DataFrame:
    """Wrap each prompt in the paper's instruction to answer in its language.

    Args:
        prompts: columns `language` and `text`.
        names: language code -> English name.

    >>> prompts = pl.DataFrame({"language": ["fr"], "text": ["Que font les abeilles ?"]})
    >>> instruct(prompts, {"fr": "French"})["text"].item().splitlines()[2:4]
    ['### Instruction:', 'Que font les abeilles ?']
    """
    before, after = LANGUAGE_INSTRUCTION.split("{question}")
    opening = pl.col("language").replace_strict({code: before.format(language=name) for code, name in names.items()})
    return prompts.with_columns(text=opening + pl.col("text") + pl.lit(after))


def _check_parallel(rows: pl.DataFrame, languages: Sequence[str]) -> None:
    """Raise unless every language has the ids of the first, each once."""
    dominant, *others = languages
    ids = {language: rows.filter(language=language)["prompt_id"].to_list() for language in languages}
    twice = rows.filter(rows.select("prompt_id", "language").is_duplicated())
    if len(twice):
        named = twice.select(pl.format("{} in {}", "prompt_id", "language")).to_series().unique(maintain_order=True)
        raise RowError(f"{len(named)} prompt ids stand more than once: {_first(named.to_list())}; keep one row of each")
    problems = []
    for language in others:
        there, wanted = set(ids[language]), set(ids[dominant])
        missing = [prompt_id for prompt_id in ids[dominant] if prompt_id not in there]
        extra = [prompt_id for prompt_id in ids[language] if prompt_id not in wanted]
        problems += [f'"{language}" lacks {len(missing)}: {_first(missing)}'] if missing else []
        problems += [f'"{language}" has {len(extra)} more: {_first(extra)}'] if extra else []
    if problems:
        raise RowError(
            f'the prompts are not parallel; of the {len(ids[dominant])} ids in "{dominant}", {"; ".join(problems)}. '
            "Give each prompt the same id in every language, or take out those that are not in all; ids that begin "
            "with the language's code (degsm8k_0) need id_prefix: language"
        )


def _first(ids: Sequence[str]) -> str:
    return ", ".join(ids[:_SHOWN]) + (", ..." if len(ids) > _SHOWN else "")


def _unusable(rows: pl.DataFrame) -> pl.DataFrame:
    """The prompts of the whole file that no slice may use: `prompt_id`, `reason`, `detail`."""
    is_empty = is_blank(pl.col("text")).fill_null(True)
    empty = rows.filter(is_empty).sort("rank").group_by("prompt_id").agg("language")
    usable = rows.filter(rank=0).join(empty, on="prompt_id", how="anti").sort("position")
    first = pl.col("prompt_id").first().over(bare(pl.col("text")))
    repeated = usable.with_columns(first=first).filter(pl.col("first") != pl.col("prompt_id"))
    return pl.concat(
        [
            empty.select(
                "prompt_id",
                reason=pl.lit("empty_prompt"),
                detail=pl.format("empty in {}", pl.col("language").list.join(", ")),
            ),
            repeated.select(
                "prompt_id",
                reason=pl.lit("duplicate_prompt"),
                detail=pl.format("the same text in {} as {}", "language", "first"),
            ),
        ]
    )


def _slots(dropped: pl.DataFrame, dominant: str, others: Sequence[str]) -> pl.DataFrame:
    """Two dropped rows for each (prompt, other language): one for each kind of pair that will not be built."""
    of_prompt = [
        slot for other in others for slot in ((dominant, other, "dominant"), (other, dominant, "non_dominant"))
    ]
    columns = ["language", "other_language", "kind"]
    slots = pl.DataFrame(of_prompt, schema=dict.fromkeys(columns, pl.String), orient="row").with_row_index("slot")
    crossed = dropped.drop("language").join(slots, how="cross").sort("position", "slot")
    filled = crossed.with_columns(iteration=pl.lit(None, pl.Int32), step=pl.lit("prompts"))
    return filled.select(_empty(Dropped).columns)


def as_sampled(dropped: pl.DataFrame, languages: Sequence[str]) -> pl.DataFrame:
    """The same prompts' dropped rows where a slot is (prompt, language): one for each language, `dropped` having two
    for each other one.
    """
    order = pl.DataFrame({"language": languages}, schema={"language": pl.String})
    once = dropped.unique("prompt_id", keep="first", maintain_order=True).drop("language")
    crossed = once.join(order, how="cross", maintain_order="left_right")
    return crossed.with_columns(other_language="language", kind=pl.lit("sampled")).select(dropped.columns)


def _empty(row_type: RowType) -> pl.DataFrame:
    return pl.DataFrame(row_type.schema.empty_table())
