"""What was dropped, against what was kept: dropping is a choice of data that nobody made.

In the authors' own en->fr sample 78 of 1,000 translations failed, and by length of the answer 2.5, 3, 11, 11 and 11.5%
of each fifth: long answers go, and with them what only long answers teach.

    units -> selection_bias -> {"slots", "dropped", "characters": {...}, "length": [...], "prompt_kind": [...], ...}

A unit is one text that had to be translated. Shares are descriptions: units of one prompt fall together, so no interval
that takes them as independent would be right.
"""

from __future__ import annotations

from typing import Any

import polars as pl

FIFTHS = 5

UNITS = {"language": pl.String, "prompt_kind": pl.String, "source": pl.String, "length": pl.UInt32, "lost": pl.Boolean}
"""A unit: the non-dominant language, the kind of the prompt, the language of the text that had to be translated, its
length in characters, and whether it was dropped."""


def prompt_kind(text: pl.Expr, is_bound: pl.Expr) -> pl.Expr:
    """What sort of prompt it is, by marks that every language has; the first that fits.

    `bound` (to its language, as the recipe says), `code` (it holds a fence, or braces with a semicolon or parenthesis),
    `with_input` (more than one line), `question` (it ends with a question mark), `instruction`.

    >>> texts = pl.Series("t", ["What do bees make?", "Sort these.\\n3, 1, 2", "¡Cuenta!"])
    >>> texts.to_frame().select(prompt_kind(pl.col("t"), pl.lit(False))).to_series().to_list()
    ['question', 'with_input', 'instruction']
    """
    stripped = text.str.strip_chars()
    return (
        pl.when(is_bound)
        .then(pl.lit("bound"))
        .when(stripped.str.contains(r"```|[;{]\s*\n|\w\(\w*\)\s*[;:{]"))
        .then(pl.lit("code"))
        .when(stripped.str.contains("\n", literal=True))
        .then(pl.lit("with_input"))
        .when(stripped.str.contains(r"[?？؟;]$"))
        .then(pl.lit("question"))
        .otherwise(pl.lit("instruction"))
    )


def units_of_slots(
    pairs: pl.DataFrame, dropped: pl.DataFrame, kinds: pl.DataFrame, responses: pl.DataFrame, *, dominant: str
) -> pl.DataFrame:
    """The requested slots of the pair step as units: of a dominant slot, the answer in xx that had to be translated; of
    a non-dominant one, the dominant answer.

    Args:
        pairs, dropped: as `build_pairs` gives them.
        kinds: `prompt_id`, `prompt_kind`.
        responses: as in `lidr.rows`.
        dominant: code of the dominant language.
    """
    named = ["prompt_id", "language", "other_language", "kind"]
    slots = pl.concat([pairs.select(*named, lost=False), dropped.select(*named, lost=True)])
    is_dominant = pl.col("kind") == "dominant"
    placed = slots.with_columns(
        language=pl.when(is_dominant).then("other_language").otherwise("language"),
        source=pl.when(is_dominant).then("other_language").otherwise(pl.lit(dominant)),
    )
    return _units(placed, kinds, responses)


def units_of_sampled(
    pairs: pl.DataFrame, dropped: pl.DataFrame, kinds: pl.DataFrame, responses: pl.DataFrame
) -> pl.DataFrame:
    """The requested slots of pairs that were chosen by scores as units; their length is the mean of the prompt's
    answers in that language.
    """
    named = ["prompt_id", "language"]
    slots = pl.concat([pairs.select(*named, lost=False), dropped.select(*named, lost=True)])
    means = responses.group_by(named).agg(text_length=pl.col("text").str.len_chars().mean().round(0))
    joined = slots.with_columns(source="language").join(kinds, on="prompt_id", how="left", maintain_order="left")
    joined = joined.join(means, on=named, how="left", maintain_order="left").rename({"text_length": "length"})
    return joined.select(pl.col(name).cast(kind) for name, kind in UNITS.items())


def _units(placed: pl.DataFrame, kinds: pl.DataFrame, responses: pl.DataFrame) -> pl.DataFrame:
    lengths = responses.select("prompt_id", source="language", length=pl.col("text").str.len_chars())
    joined = placed.join(kinds, on="prompt_id", how="left", maintain_order="left")
    joined = joined.join(lengths, on=["prompt_id", "source"], how="left", maintain_order="left")
    return joined.select(pl.col(name).cast(kind) for name, kind in UNITS.items()).with_columns(
        pl.col("length").fill_null(0)
    )


def selection_bias(units: pl.DataFrame) -> dict[str, Any]:
    """Count what was lost by fifth of length, by kind of prompt and by language.

    Args:
        units: the columns UNITS, in any order; those of equal length are told apart by their order.

    Returns:
        `slots`, `dropped`; `characters`: mean length of what was kept and of what was dropped; and `length` (fifths
        among the texts of the same language, 1 the shortest), `prompt_kind`, `language`: rows of {name, slots, dropped,
        share}, share 0-1.
    """
    place = pl.col("length").rank("ordinal").over("source") - 1
    fifth = (place * FIFTHS // pl.len().over("source") + 1).cast(pl.Int32)
    frame = units.with_columns(length_fifth=fifth)
    lost = pl.col("lost")
    means = units.select(
        kept=pl.col("length").filter(~lost).mean().round(1), dropped=pl.col("length").filter(lost).mean().round(1)
    )
    return {
        "slots": units.height,
        "dropped": int(units["lost"].sum()),
        "characters": means.row(0, named=True),
        "length": _shares(frame, "length_fifth"),
        "prompt_kind": _shares(frame, "prompt_kind"),
        "language": _shares(frame, "language"),
    }


def _shares(frame: pl.DataFrame, by: str) -> list[dict[str, Any]]:
    counts = frame.group_by(name=by).agg(slots=pl.len(), dropped=pl.col("lost").sum()).sort("name")
    return counts.with_columns(share=(pl.col("dropped") / pl.col("slots")).round(4)).to_dicts()
