"""Pairs for somebody else's trainer: which there are, those that are wanted, and them as a `datasets.Dataset`."""

from __future__ import annotations

import atexit
import shutil
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lidr.errors import RowError
from lidr.preferences.mapped_rows import Mapped, mapped_batches, weights_of
from lidr.preferences.native_rows import own_batches
from lidr.preferences.pair_source import PairSource, open_pairs
from lidr.preferences.query import NO_MARGIN, PairQuery, language_of
from lidr.preferences.set_columns import column_map
from lidr.rows import SWITCHES, WEIGHT, Pair, kind_said, language_heading, switched, with_switches
from lidr.tables import file_batches

if TYPE_CHECKING:
    import datasets
    import polars as pl
    import pyarrow as pa

ROWS_PER_BATCH = 4_000
FACTS = ("language", "other_language", "kind", "iteration", "margin")
"""What is counted, and what the wanted pairs are told by."""


def readings(
    source: PairSource, rows: int, columns: Sequence[str], mapped: Mapped | None = None
) -> Iterator[tuple[pa.RecordBatch, pl.DataFrame | None]]:
    """Yield pairs in order, whatever form they have, with these columns of rows.Pair, each batch with what was dropped.

    The column `weight` may be asked for where `weights_of` names one. A dropped row has `reason` and, as far as there
    are any, `pair_id`, `prompt_id`, `language`, `other_language` and `kind`.

    Raises:
        RowError: a column is missing, or holds something else.
    """
    mapped = mapped or Mapped()
    if mapped.is_native(source):
        weights = weights_of(source, mapped) if WEIGHT in columns else None
        yield from own_batches([path for _, path in source.files], rows, list(columns), mapped.languages, weights)
        return
    yield from ((batch.select(list(columns)), dropped) for batch, dropped in mapped_batches(source, rows, mapped))


def pair_batches(
    source: PairSource,
    rows: int,
    columns: Sequence[str],
    mapped: Mapped | None = None,
    unread: Counter[str] | None = None,
) -> Iterator[pa.RecordBatch]:
    """Yield pairs in order, whatever form they have, with these columns of rows.Pair.

    Args:
        source: from `open_pairs`.
        rows: of a batch, at most.
        columns: names of columns.
        mapped: how another's rows become pairs.
        unread: where the rows that cannot be read as pairs are counted, by reason.

    Raises:
        RowError: a column is missing, or holds something else.
    """
    for batch, dropped in readings(source, rows, columns, mapped):
        if unread is not None and dropped is not None:
            unread.update(dict(dropped["reason"].value_counts().iter_rows()))
        yield batch


def unread_said(unread: Mapping[str, int]) -> str:
    """How many rows cannot be read as pairs, and why.

    >>> unread_said({"identical": 1, "empty": 1200})
    '1,201 rows cannot be read as pairs: 1,200 empty, 1 identical'
    """
    total = sum(unread.values())
    parts = [f"{count:,} {reason}" for reason, count in sorted(unread.items(), key=lambda one: (-one[1], one[0]))]
    return f"{total:,} {'row' if total == 1 else 'rows'} cannot be read as pairs: {', '.join(parts)}"


def switches_of(source: PairSource) -> list[dict[str, Any]]:
    """The different switches of the chat template that pairs were made with; {} are pairs without any. Empty where
    nobody says: of sets that lidr did not make.
    """
    if source.switch_type is None:
        return [dict(source.switches)] if source.is_ours else []
    found: list[dict[str, Any]] = []
    for _, path in source.files:
        for batch in file_batches(path, ROWS_PER_BATCH, [SWITCHES]):
            found += [one for one in different_switches(batch[SWITCHES]) if one not in found]
    return found


def different_switches(column: pa.Array) -> list[dict[str, Any]]:
    """Each value of a column of switches once; null is the same to a template as nothing."""
    import polars as pl

    rows = pl.Series(column).unique(maintain_order=True).to_list()
    said = [{name: value for name, value in (row or {}).items() if value is not None} for row in rows]
    return [one for number, one in enumerate(said) if one not in said[:number]]


@dataclass(frozen=True)
class Census:
    """How many pairs there are of what, before anything is read of their texts.

    Args:
        everything: all pairs of the source by `iteration`, non-dominant `language`, `kind`, language of their `texts`
            and whether they compare it `with_another` (sampled pairs are counted together), each with `pairs` and how
            many of these are `scored`.
        wanted: the same of those that are asked for.
        unread: how many rows of the source cannot be read as pairs, by reason.
        largest: margin of those that are asked for but for the least margin; None where none is asked for.
    """

    everything: list[dict[str, Any]]
    wanted: list[dict[str, Any]]
    unread: dict[str, int]
    largest: float | None = None

    @property
    def rows(self) -> int:
        """Pairs that are asked for."""
        return sum(row["pairs"] for row in self.wanted)

    @property
    def kinds_said(self) -> list[str]:
        """The kind of each row of `wanted`, as it is shown."""
        return [kind_said(row["kind"], row["texts"], "*" if row["with_another"] else "") for row in self.wanted]


def census(source: PairSource, wanted: PairQuery, mapped: Mapped | None = None) -> Census:
    """Count pairs, and refuse what cannot be meant.

    Raises:
        RowError: languages, kinds or iterations of which there is no pair (a misspelt name would give an empty set), or
            a least margin of pairs that nobody scored.
    """
    import pyarrow.compute as pc

    unscored = replace(wanted, min_margin=None)
    counts = [_Counts(), _Counts(), _Counts()]
    unread: Counter[str] = Counter()
    largest: float | None = None
    for batch in pair_batches(source, 50_000, FACTS, mapped, unread):
        if wanted.min_margin is not None:
            here = pc.max(unscored.of(batch)["margin"]).as_py()
            largest = max((one for one in (largest, here) if one is not None), default=None)
        for count, asked in zip(counts, (PairQuery(), unscored, None), strict=True):
            count.add((asked or wanted).of(batch) if asked or wanted.min_margin is None else _passing(batch, wanted))
    everything, without_margin, found = (count.rows() for count in counts)
    _check_asked(source, wanted, everything, unread)
    total, scored = (sum(row[name] for row in without_margin) for name in ("pairs", "scored"))
    if wanted.min_margin is not None and scored < total:
        raise RowError(f"{source.name}: {total - scored:,} of {total:,} pairs have no margin: {NO_MARGIN}")
    return Census(everything, found, dict(sorted(unread.items())), largest)


def _passing(batch: pa.RecordBatch, wanted: PairQuery) -> pa.RecordBatch:
    """The rows that pass where some may have no margin, which is judged later."""
    return wanted.of(batch.filter(batch["margin"].is_valid()))


class _Counts:
    """Counts rows by iteration, language, kind, language of the texts, and whether the other one is another."""

    def __init__(self) -> None:
        self._parts: list[pa.Table] = []

    def add(self, rows: pa.RecordBatch) -> None:
        import pyarrow as pa
        import pyarrow.compute as pc

        with_another = pc.fill_null(pc.not_equal(rows["language"], rows["other_language"]), True)
        with_another = pc.and_(with_another, pc.fill_null(pc.not_equal(rows["kind"], "sampled"), True))
        told_by = [rows["iteration"], language_of(rows), rows["kind"], rows["language"], with_another]
        columns = [*told_by, rows["margin"].is_valid()]
        table = pa.table([*columns], names=[*_COUNTED, "scored"])
        self._parts.append(table.group_by([*_COUNTED, "scored"], use_threads=False).aggregate([([], "count_all")]))

    def rows(self) -> list[dict[str, Any]]:
        found: dict[tuple[Any, ...], dict[str, Any]] = {}
        parts = [row for part in self._parts for row in part.to_pylist()]
        for part in sorted(parts, key=lambda row: [str(row[name]) for name in _COUNTED]):
            key = {name: part[name] for name in _COUNTED}
            row = found.setdefault(tuple(key.values()), {**key, "pairs": 0, "scored": 0})
            row["pairs"] += part["count_all"]
            row["scored"] += part["count_all"] * part["scored"]
        return list(found.values())


_COUNTED = ("iteration", "language", "kind", "texts", "with_another")


def _check_asked(
    source: PairSource, wanted: PairQuery, counts: Sequence[dict[str, Any]], unread: Mapping[str, int]
) -> None:
    for what, asked in (("language", wanted.languages), ("kind", wanted.kinds), ("iteration", wanted.iterations)):
        there = list(dict.fromkeys(row[what] for row in counts))
        missing = [value for value in asked if value not in there]
        if missing:
            found = ", ".join(map(str, there)) or f"no pairs at all{_why_none(source, unread)}"
            named = language_heading(row["kind"] for row in counts) if what == "language" else what
            raise RowError(
                f"{source.name}: no pairs of {named} {', '.join(map(str, missing))}; it has "
                f"{found}{_in_dominant(missing, counts)}"
            )


def _why_none(source: PairSource, unread: Mapping[str, int]) -> str:
    """Why a set has no pairs: of a run, where its dropped slots are."""
    if source.name.startswith("run:"):
        steps = source.files[0][1].parents[2]
        return f": each dropped slot has its reason in {steps}/*/dropped, and `lidr report RECIPE` counts them"
    return f": {unread_said(unread)}" if unread else ""


def _in_dominant(missing: Sequence[Any], counts: Sequence[dict[str, Any]]) -> str:
    """What to ask for instead of the dominant language; empty where nobody asked for it."""
    dominant = {row["texts"] for row in counts if row["kind"] == "dominant"}
    asked = [str(value) for value in missing if value in dominant]
    return f". {asked[0]} is the dominant language: pairs in it are those of --kind dominant" if asked else ""


def load_pairs(
    reference: str,
    *,
    languages: Sequence[str] | None = None,
    kinds: Sequence[str] | None = None,
    iterations: Sequence[int] | None = None,
    min_margin: float | None = None,
    config: str | None = None,
    split: str | None = None,
    columns: Mapping[str, str | None] | None = None,
    language: str | None = None,
) -> datasets.Dataset:
    """See `lidr.load_pairs`."""
    from datasets import Dataset

    wanted = PairQuery(tuple(languages or ()), tuple(kinds or ()), tuple(iterations or ()), min_margin)
    source = open_pairs(reference, config=config, split=split).of_iterations(wanted.iterations)
    mapped = Mapped(column_map(columns) if columns else None, language)
    if wanted.columns:
        census(source, wanted, mapped)
    folder = Path(tempfile.mkdtemp(prefix="lidr-pairs-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    unread: Counter[str] = Counter()
    names, rows = _ALL, with_switches(Pair, source.switches)
    if mapped.form is None and (kind := source.switch_type) is not None:
        names, rows = (*_ALL, SWITCHES), replace(Pair, columns={**Pair.columns, SWITCHES: kind})
    if weights_of(source, mapped) is not None:
        names, rows = (*names, WEIGHT), replace(rows, columns={**rows.columns, WEIGHT: Pair.later[WEIGHT]})
    batches = pair_batches(source, ROWS_PER_BATCH, names, mapped, unread)
    _write_arrow(folder / "pairs.arrow", (wanted.of(batch) for batch in batches), rows.schema, source.switches)
    if unread:
        warnings.warn(f"{source.name}: {unread_said(unread)}", stacklevel=3)
    return Dataset.from_file(str(folder / "pairs.arrow"))


_ALL = tuple(Pair.columns)


def _write_arrow(path: Path, batches: Iterator[pa.RecordBatch], schema: pa.Schema, switches: Mapping[str, Any]) -> None:
    """The rows as a stream that is mapped into memory, not loaded."""
    import pyarrow as pa

    schema = schema.remove_metadata()
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, schema) as writer:
        for batch in batches:
            writer.write_table(switched(pa.Table.from_batches([batch]), switches).select(schema.names).cast(schema))
