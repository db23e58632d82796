"""Two sets of pairs, an older and a newer: which pairs stayed, came, went, or have other texts.

A slot is prompt, languages, kind and iteration. A pair is the same where slot, texts and margin are. Of those that are
not, two in one slot are a changed pair; the others came or went. In a mixture a slot may have several pairs: they are
told apart by their content, then by their order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lidr.hub import ForeignJsonError, load_foreign_json
from lidr.preferences.mapped_rows import Mapped
from lidr.preferences.pair_source import PairSource
from lidr.preferences.query import PairQuery, language_of
from lidr.preferences.read_pairs import census, pair_batches
from lidr.store import difference

if TYPE_CHECKING:
    import polars as pl

_ROWS = 50_000
_SLOT = ("prompt_id", "language", "other_language", "kind", "iteration")
_READ = ("pair_id", *_SLOT, "prompt", "chosen_text", "rejected_text", "margin")
_PARTS = ("prompt", "chosen", "rejected", "margin")
_SHOWN = ("pair_id", "language", "other_language", "kind", "prompt_text", "chosen_text", "rejected_text", "margin")
_GROUP = ("iteration", "spoken", "kind")
_OF_NO_INTEREST = ("version", "runtime", "chain")
_OUTCOMES = ("same", "changed", "added", "removed")


@dataclass(frozen=True)
class SetComparison:
    """What became of the pairs of one set in another.

    Args:
        counts: by `iteration`, non-dominant `language` and `kind`: pairs `before` and `after`, and how many are the
            `same`, `changed`, `added` and `removed`: before = same + changed + removed, after = same + changed + added.
        parts: how many changed pairs have another `prompt`, `chosen`, `rejected` or `margin`; one may have several.
        changed: the first few, in the newer set's order: `before` and `after`, each with its id, texts and margin.
        added, removed: ids of the first few.
        added_pairs, removed_pairs: these with their texts and margins.
    """

    counts: list[dict[str, Any]]
    parts: dict[str, int]
    changed: tuple[dict[str, dict[str, Any]], ...]
    added: tuple[str, ...]
    removed: tuple[str, ...]
    added_pairs: tuple[dict[str, Any], ...] = ()
    removed_pairs: tuple[dict[str, Any], ...] = ()

    def total(self, name: str) -> int:
        """Sum of a count over all groups."""
        return sum(row[name] for row in self.counts)


def compare_sets(
    before: PairSource, after: PairSource, wanted: PairQuery | None = None, mapped: Mapped | None = None, first: int = 5
) -> SetComparison:
    """Match the pairs of two sets by slot and say what differs.

    Args:
        before, after: from `open_pairs`.
        wanted: which pairs of both; None: all.
        mapped: how another's rows become pairs, of both.
        first: how many to name of each outcome.

    Raises:
        RowError: a set has a row that is none, or none of the pairs that are asked for.
    """
    import polars as pl

    wanted = wanted or PairQuery()
    old, new = (_contents(source, wanted, mapped) for source in (before, after))
    content = [*_SLOT, *_PARTS]
    old, new = (_numbered(side, content) for side in (old, new))
    key = [*content, "number"]
    same = new.join(old, on=key, how="semi", nulls_equal=True)
    left, right = (
        _numbered(one.join(other, on=key, how="anti", nulls_equal=True, maintain_order="left"), list(_SLOT))
        for one, other in ((old, new), (new, old))
    )
    named = [*_SLOT, "number"]
    others = left.select(*named, *_PARTS, "row")
    changed = right.join(others, on=named, how="inner", suffix="_before", maintain_order="left")
    added = right.join(left, on=named, how="anti", maintain_order="left")
    removed = left.join(right, on=named, how="anti", maintain_order="left")
    parts = changed.select(pl.col(part).ne_missing(pl.col(f"{part}_before")).sum() for part in _PARTS)
    shown = changed.head(first)
    texts = [_at(source, shown[name], mapped) for source, name in ((before, "row_before"), (after, "row"))]
    return SetComparison(
        list(_counted({"same": same, "changed": changed, "added": added, "removed": removed})),
        parts.row(0, named=True),
        tuple({"before": old, "after": new} for old, new in zip(*texts, strict=True)),
        *(tuple(rows["pair_id"].head(first)) for rows in (added, removed)),
        *(tuple(_at(one, rows["row"].head(first), mapped)) for one, rows in ((after, added), (before, removed))),
    )


def _at(source: PairSource, numbers: pl.Series, mapped: Mapped | None) -> list[dict[str, Any]]:
    """The pairs with these numbers in their set, in this order."""
    import polars as pl

    found: dict[int, dict[str, Any]] = {}
    begin = 0
    for batch in pair_batches(source, _ROWS, _SHOWN, mapped) if len(numbers) else ():
        here = numbers.filter(numbers.is_between(begin, begin + batch.num_rows, closed="left"))
        found |= zip(here, pl.DataFrame(batch)[(here - begin).to_list()].to_dicts(), strict=True)
        begin += batch.num_rows
    return [found[number] for number in numbers]


def settings_changed(before: PairSource, after: PairSource) -> list[str] | None:
    """Settings of the recipes that differ, as `chain.generate.temperature: 0.0 -> 0.7`; None where a set, as one of
    others, does not say how it was made.
    """
    old, new = (_settings(source) for source in (before, after))
    return None if old is None or new is None else difference(old, new)


def _settings(source: PairSource) -> dict[str, Any] | None:
    """The resolved recipe without version and machine, its chain by step."""
    if source.run_file is None or not source.run_file.is_file():
        return None
    try:
        content = load_foreign_json(source.run_file)
    except ForeignJsonError:
        return None
    found = next((content[key] for key in ("resolved", "recipe") if isinstance(content.get(key), Mapping)), None)
    chain = found.get("chain") if found is not None else None
    if found is None or not isinstance(chain, list) or not all(isinstance(step, Mapping) for step in chain):
        return None
    steps: dict[str, Any] = {}
    for step in chain:
        steps |= {step["name"]: step["config"]} if {"name", "config"} <= set(step) else step
    return {**{key: found[key] for key in found if key not in _OF_NO_INTEREST}, "chain": steps}


def _contents(source: PairSource, wanted: PairQuery, mapped: Mapped | None) -> pl.DataFrame:
    """Id, slot and a 64-bit hash of each part of the wanted pairs; the texts themselves are let go."""
    import polars as pl

    census(source, wanted, mapped)
    begin = 0
    texts = dict.fromkeys(("pair_id", *_SLOT, "spoken"), pl.String)
    frames = [
        pl.DataFrame(schema={**texts, "iteration": pl.Int32, **dict.fromkeys(_PARTS, pl.UInt64), "row": pl.Int64})
    ]
    for batch in pair_batches(source, _ROWS, _READ, mapped):
        passing = pl.Series(wanted.mask(batch))
        frames.append(
            pl.DataFrame(batch)
            .with_columns(spoken=pl.Series(language_of(batch)))
            .select(
                "pair_id",
                *_SLOT,
                "spoken",
                prompt=pl.col("prompt").hash(),
                chosen=pl.col("chosen_text").hash(),
                rejected=pl.col("rejected_text").hash(),
                margin=pl.col("margin").hash(),
                row=pl.int_range(begin, begin + pl.len()),
            )
            .filter(passing)
        )
        begin += batch.num_rows
    return pl.concat(frames)


def _numbered(rows: pl.DataFrame, by: list[str]) -> pl.DataFrame:
    """With the column `number`: which of the rows that are alike in these columns it is."""
    import polars as pl

    return rows.with_columns(number=pl.int_range(pl.len()).over(by))


def _counted(outcomes: dict[str, pl.DataFrame]) -> Iterator[dict[str, Any]]:
    import polars as pl

    said = [rows.select(*_GROUP, outcome=pl.lit(what)) for what, rows in outcomes.items()]
    found = (
        pl.concat(said)
        .group_by(*_GROUP)
        .agg(pl.col("outcome").eq(what).sum().cast(pl.Int64).alias(what) for what in _OUTCOMES)
    )
    for row in found.sort(*_GROUP).iter_rows(named=True):
        kept = row["same"] + row["changed"]
        group = dict(zip(("iteration", "language", "kind"), (row[name] for name in _GROUP), strict=True))
        yield {**group, "before": kept + row["removed"], "after": kept + row["added"],
               **{what: row[what] for what in _OUTCOMES}}  # fmt: skip
