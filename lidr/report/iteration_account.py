"""What became of one iteration's slots, in a few lines: kept, the top reasons, one example of each and its language."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from lidr.engines import ModelFolder
from lidr.pipeline import Plan, kept_share, setting_of
from lidr.store import open_artifact, read_record

if TYPE_CHECKING:
    import polars as pl

_MOST_REASONS = 4
_LOOKED_AT = 400  # pairs whose rejected answers are identified
_LONGEST = 70
_LONGEST_DETAIL = 140  # what filters say ends with what was expected


def account_lines(planned: Plan, iteration: int) -> list[str]:
    """The account of an iteration so far; empty before its first pairs."""
    found = kept_share(planned, iteration)
    if found is None or not found.requested:
        return []
    lines = [f"iteration {iteration}: {found.kept:,} of {found.requested:,} slots are kept ({found.share:.0%})"]
    for (step, reason), count in found.reasons[:_MOST_REASONS]:
        lines.append(f"  {count:>7,}  {step}: {reason} (see {setting_of(step, reason)})")
        if (example := _example(planned, iteration, step, reason)) is not None:
            lines.append(f"           e.g. {example}")
    if (more := len(found.reasons) - _MOST_REASONS) > 0:
        lines.append(f"           and {more} other reason{'' if more == 1 else 's'}")
    return [*lines, *_told_by_language(planned, iteration)]


def _told_by_language(planned: Plan, iteration: int) -> Iterator[str]:
    """A warning where most rejected answers to prompts of a language are in another one. Only where a filter looks at
    the languages of chosen answers: then what identifies them is in memory.
    """
    looks = [step.config.language for step in planned.recipe.chain if step.name == "filter"]
    steps = [step for step in planned.steps if step.iteration == iteration and step.kind.writes.name == "pairs"]
    made = [step for step in steps if read_record(planned.folder(step)) is not None]
    if not made or not any(one is not None and one.of == "chosen" for one in looks):
        return
    import polars as pl

    from lidr.transforms import identify

    pairs = open_artifact(planned.folder(made[-1]))
    columns = ("language", "rejected_text")
    rows = pl.DataFrame(next(pairs.batches(_LOOKED_AT, columns), None), schema=dict.fromkeys(columns, pl.String))
    found = identify(rows["rejected_text"], planned.recipe.languages.all, asked=rows["language"])
    is_other = (found["language"] != rows["language"]).fill_null(False)
    counts = rows.with_columns(is_other=is_other).group_by("language").agg(pl.len(), pl.col("is_other").sum())
    for language, count, other in counts.sort("language").iter_rows():
        if 2 * other > count:
            yield (
                f"  warning: of the first {count:,} pairs in {language}, {other:,} reject one in another language: "
                "training may learn the language alone; filter.language.of: both drops such pairs"
            )


def _example(planned: Plan, iteration: int, step: str, reason: str) -> str | None:
    """The first slot that went for this reason: its prompt, what was said, the text at fault and its language."""
    folder = planned.version_folder / f"iter_{iteration}" / step
    if read_record(folder) is None:
        return None
    import polars as pl

    files = sorted((folder / "dropped").glob("*.parquet"))
    rows = (pl.read_parquet(file).filter(pl.col("reason") == reason) for file in files)
    first: dict[str, Any] | None = next((frame.row(0, named=True) for frame in rows if frame.height), None)
    if first is None:
        return None
    against = "" if first["kind"] == "sampled" else f" against {first['other_language']}"
    said = f"{first['prompt_id']}, {first['language']}{against}"
    detail = f": {_short(first['detail'], _LONGEST_DETAIL)}" if first["detail"] else ""
    return f"{said}{detail}{_text(planned, iteration, reason, first)}"


def _text(planned: Plan, iteration: int, reason: str, slot: dict[str, Any]) -> str:
    """The translation, or the answer, that the slot lacks, short, and the language that is detected in it."""
    from lidr.transforms import language_of

    if reason == "prompt_too_long":
        return _too_long(planned, iteration, slot)
    status = reason.removeprefix("translation_")
    rows = _rows(planned, iteration, "translations" if status != reason else "responses", slot["prompt_id"])
    if rows is None:
        return ""
    import polars as pl

    rows = rows.filter(pl.col("status") == status) if status != reason else rows.filter(language=slot["language"])
    if not rows.height:
        return ""
    row = rows.row(0, named=True)
    text, asked = (
        (row.get("raw") or row["text"]) if status != reason else row["text"],
        row.get("target", slot["language"]),
    )
    if not text.strip():
        return f', "" (asked for {asked}, and it is empty)'
    language = language_of(text, planned.recipe.languages.all) or "not known"
    return f', "{_short(text)}" (asked for {asked}, detected {language})'


def _too_long(planned: Plan, iteration: int, slot: dict[str, Any]) -> str:
    """What did not fit: the tokens of the prompt and those that the answer may have, against the model's window."""
    rows = _rows(planned, iteration, "responses", slot["prompt_id"])
    if rows is None or not (rows := rows.filter(finish_reason="prompt_too_long")).height:
        return ""
    row = rows.row(0, named=True)
    answer = next((step.config.max_tokens for step in planned.recipe.chain if step.name == "generate"), None)
    policy = planned.version_folder / "iter_0" / "policy"
    folder = policy / "base" if (policy / "base").is_dir() else policy / "model"
    window = planned.recipe.runtime.longest or ModelFolder(folder).context_length()
    if not row["prompt_tokens"] or answer is None or window is None:
        return f", in {row['language']}: prompt and answer are longer than the model's window"
    return f", in {row['language']}: prompt {row['prompt_tokens']:,} + answer {answer:,} > window {window:,} tokens"


def _rows(planned: Plan, iteration: int, writes: str, prompt_id: str) -> pl.DataFrame | None:
    import polars as pl

    for step in planned.steps:
        is_it = step.iteration == iteration and step.kind.writes.name == writes
        if is_it and read_record(planned.folder(step)) is not None:
            tables = open_artifact(planned.folder(step)).tables
            return pl.scan_parquet(list(tables)).filter(pl.col("prompt_id") == prompt_id).collect()
    return None


def _short(text: str, longest: int = _LONGEST) -> str:
    """One line, cut at the end of a word; where words have no space between them, or are long, within one."""
    text = " ".join(text.split())
    if len(text) <= longest:
        return text
    whole, _, _ = text[: longest + 1].rpartition(" ")
    return f"{whole if len(whole) > longest // 2 else text[:longest]} ..."
