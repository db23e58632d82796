"""Two pictures for the card, drawn from the rows: how long the answers are, and which languages the pairs are in.

plots/languages.png    pairs of each language and kind
plots/lengths.png      median characters of chosen and rejected, by the pair's language and kind
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

    from lidr.release.finished import Finished

ROWS_PER_BATCH = 10_000
_INK, _FAINT, _PAPER = (40, 44, 52), (225, 228, 232), (255, 255, 255)
_COLOURS = ((46, 107, 176), (222, 141, 60))
_WIDTH, _LABEL, _BAR, _GAP, _TOP, _RIGHT = 900, 190, 18, 14, 84, 90


@dataclass(frozen=True)
class Bars:
    """A picture of horizontal bars in groups.

    Args:
        series: what each bar of a group means.
        groups: label, and one value for each of the series.
    """

    title: str
    series: tuple[str, ...]
    groups: tuple[tuple[str, tuple[float, ...]], ...]


def write_plots(run: Finished, folder: Path) -> None:
    """Draw both pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    statistics = pair_statistics(run)
    draw(languages_of(statistics), folder / "languages.png")
    draw(lengths_of(statistics), folder / "lengths.png")


def pair_statistics(run: Finished) -> pl.DataFrame:
    """other, language, other_language, kind, pairs, chosen, rejected (median characters), over all iterations."""
    import polars as pl

    other = pl.when(pl.col("kind") == "dominant").then("other_language").otherwise("language").alias("other")
    languages = ("language", "other_language", "kind")
    groups, sides = ("other", *languages), {side: f"{side}_text" for side in ("chosen", "rejected")}
    counted: list[pl.DataFrame] = []  # rows of each length: one frame, small for any number of pairs
    for iteration in run.iterations:
        for batch in run.written("pairs", iteration).batches(ROWS_PER_BATCH, (*languages, *sides.values())):
            lengths = {side: pl.col(text).str.len_chars() for side, text in sides.items()}
            found = pl.DataFrame(batch).select(other, *languages, **lengths).with_columns(rows=1)
            found = found.unpivot(list(sides), index=(*groups, "rows"), variable_name="side", value_name="length")
            counted = [pl.concat([*counted, found.select(*groups, "side", "length", "rows")])]
            counted = [counted[0].group_by(*groups, "side", "length").agg(pl.col("rows").sum())]
    medians = {side: pl.col("length").repeat_by("rows").filter(side=side).explode().median() for side in sides}
    return (
        pl.concat(counted)
        .group_by(groups)
        .agg(pairs=pl.col("rows").filter(side="chosen").sum(), **medians)
        .sort("other", "kind", "language", "other_language")
    )


def languages_of(statistics: pl.DataFrame) -> Bars:
    """Pairs of each non-dominant language, by kind; a sampled pair's rejected text may be in another language."""
    counts = Counter[tuple[str, str]]()
    for row in statistics.iter_rows(named=True):
        counts[row["other"], row["kind"]] += row["pairs"]
    kinds = ("sampled",) if "sampled" in statistics["kind"] else ("dominant", "non_dominant")
    groups = [(other, tuple(float(counts[other, kind]) for kind in kinds)) for other in sorted({o for o, _ in counts})]
    if "sampled" in kinds:
        return Bars("Pairs by language", ("pairs of two answers",), tuple(groups))
    return Bars("Pairs by non-dominant language and kind", ("dominant pairs", "non-dominant pairs"), tuple(groups))


def lengths_of(statistics: pl.DataFrame) -> Bars:
    """Median lengths, by language of the pair."""
    groups = tuple(
        (f"{row['language']} against {row['other_language']}", (row["chosen"], row["rejected"]))
        for row in statistics.iter_rows(named=True)
    )
    return Bars("Median length in characters", ("chosen", "rejected"), groups)


def draw(bars: Bars, path: Path) -> None:
    """Draw bars as a PNG; labels are language codes and plain Latin words, which the built-in font has."""
    from PIL import Image, ImageDraw, ImageFont

    each = _BAR * len(bars.series) + _GAP
    image = Image.new("RGB", (_WIDTH, _TOP + each * max(1, len(bars.groups)) + _GAP), _PAPER)
    pen, font = ImageDraw.Draw(image), ImageFont.load_default(15)
    pen.text((20, 16), bars.title, fill=_INK, font=ImageFont.load_default(20))
    _legend(pen, font, bars.series)
    largest = max([value for _, values in bars.groups for value in values] or [1.0]) or 1.0
    for number, (label, values) in enumerate(bars.groups):
        top = _TOP + number * each
        pen.line((20, top - _GAP // 2, _WIDTH - 20, top - _GAP // 2), fill=_FAINT)
        pen.text((20, top + (each - _GAP) // 2), label, fill=_INK, font=font, anchor="lm")
        for place, value in enumerate(values):
            y, width = top + place * _BAR, (_WIDTH - _LABEL - _RIGHT) * value / largest
            pen.rectangle((_LABEL, y, _LABEL + max(1, width), y + _BAR - 3), fill=_COLOURS[place % 2])
            pen.text((_LABEL + width + 8, y + _BAR // 2 - 1), f"{value:,.0f}", fill=_INK, font=font, anchor="lm")
    image.save(path, optimize=True)


def _legend(pen, font, series: Sequence[str]) -> None:  # type: ignore[no-untyped-def]  # Pillow's drawing objects
    x = 20
    for place, name in enumerate(series):
        pen.rectangle((x, 50, x + 14, 64), fill=_COLOURS[place % 2])
        pen.text((x + 20, 57), name, fill=_INK, font=font, anchor="lm")
        x += 40 + int(pen.textlength(name, font=font))
