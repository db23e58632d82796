"""Pairs for somebody else's trainer: which there are, those that are wanted, and them as a `datasets.Dataset`."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lidr.errors import RowError
from lidr.hub.pairs_source import PairSource, open_pairs
from lidr.rows import Pair
from lidr.transforms.foreign import ColumnMap, Foreign
from lidr.transforms.wanted import NO_MARGIN, Wanted, language_of

if TYPE_CHECKING:
    import datasets
    import pyarrow as pa

ROWS_PER_BATCH = 4_000
FACTS = ("language", "other_language", "kind", "iteration", "margin")
"""What is counted, and what the wanted pairs are told by."""


@dataclass(frozen=True)
class Mapped:
    """How the rows of a set that is not lidr's become pairs; of lidr's own nothing here is used.

    Args:
        columns: which columns hold what; None: prompt, chosen and rejected.
        language: of every row, where no column says it.
        dominant: pairs in this language are of kind `dominant`.
    """

    columns: ColumnMap | None = None
    language: str | None = None
    dominant: str = "en"


def pair_batches(
    source: PairSource, rows: int, columns: Sequence[str], mapped: Mapped | None = None
) -> Iterator[pa.RecordBatch]:
    """Yield pairs in order, whatever form they have, with these columns of rows.Pair.

    Raises:
        RowError: a column is missing.
    """
    if source.is_ours and (mapped is None or mapped.columns is None):
        yield from source.batches(rows, list(columns))
        return
    mapped = mapped or Mapped()
    yield from (batch.select(list(columns)) for batch, _ in mapped_batches(source, rows, mapped))


def mapped_batches(source: PairSource, rows: int, mapped: Mapped) -> Iterator[tuple[pa.RecordBatch, Any]]:
    """Pairs made from another's rows, each batch with a polars frame of what was dropped and why.

    A pair is named by the set and its row; a prompt without an id by a hash of its text.
    """
    import polars as pl

    foreign = foreign_of(source, mapped)
    first = 0
    for batch in source.batches(rows, list(dict.fromkeys(foreign.columns.named.values()))):
        read = foreign(pl.DataFrame(batch), first=first)
        first += batch.num_rows
        named = _named(read.pairs, source.name)
        yield as_pairs(named), _named(read.dropped, source.name)


def foreign_of(source: PairSource, mapped: Mapped) -> Foreign:
    """How this set is read; without a map the usual names, the prompt being optional.

    Raises:
        RowError: the map names a column that is not there.
    """
    there = source.columns
    columns = mapped.columns or ColumnMap(prompt="prompt" if "prompt" in there else None)
    columns.check(there, source.name)
    return Foreign(columns, mapped.dominant, mapped.language)


def _named(frame: Any, name: str) -> Any:
    import hashlib

    import polars as pl

    texts = frame["prompt_text"].to_list()
    hashes = [hashlib.blake2b((text or "").encode(), digest_size=8).hexdigest() for text in texts]
    return frame.with_columns(
        prompt_id=pl.coalesce(pl.col("id"), pl.Series(hashes, dtype=pl.String)),
        pair_id=pl.format("{}/{}", pl.lit(name), "row"),
    )


def as_pairs(frame: Any) -> pa.RecordBatch:
    """A polars frame with some columns of rows.Pair as one batch with all of them, the others null."""
    import polars as pl
    import pyarrow as pa

    table = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
    there = set(table.schema.names)
    arrays = [
        table[f.name].combine_chunks().cast(f.type) if f.name in there else pa.nulls(len(table), f.type)
        for f in Pair.schema
    ]
    return pa.record_batch(arrays, schema=Pair.schema)


@dataclass(frozen=True)
class Census:
    """How many pairs there are of what, before anything is read of their texts.

    Args:
        everything: all pairs of the source by `iteration`, non-dominant `language`, `kind` and language of their
            `texts`, each with `pairs` and how many of these are `scored`.
        wanted: the same of those that are asked for.
    """

    everything: list[dict[str, Any]]
    wanted: list[dict[str, Any]]

    @property
    def rows(self) -> int:
        """Pairs that are asked for."""
        return sum(row["pairs"] for row in self.wanted)


def census(source: PairSource, wanted: Wanted, mapped: Mapped | None = None) -> Census:
    """Count pairs, and refuse what cannot be meant.

    Raises:
        RowError: languages, kinds or iterations of which there is no pair (a misspelt name would give an empty set), or
            a least margin of pairs that nobody scored.
    """
    unscored = replace(wanted, min_margin=None)
    counts = [_Counts(), _Counts(), _Counts()]
    for batch in pair_batches(source, 50_000, FACTS, mapped):
        for count, asked in zip(counts, (Wanted(), unscored, None), strict=True):
            count.add((asked or wanted).of(batch) if asked or wanted.min_margin is None else _passing(batch, wanted))
    everything, without_margin, found = (count.rows() for count in counts)
    _check_asked(source, wanted, everything)
    total, scored = (sum(row[name] for row in without_margin) for name in ("pairs", "scored"))
    if wanted.min_margin is not None and scored < total:
        raise RowError(f"{source.name}: {total - scored:,} of {total:,} pairs have no margin: {NO_MARGIN}")
    return Census(everything, found)


def _passing(batch: pa.RecordBatch, wanted: Wanted) -> pa.RecordBatch:
    """The rows that pass where some may have no margin, which is judged later."""
    return wanted.of(batch.filter(batch["margin"].is_valid()))


class _Counts:
    """Counts rows by iteration, language, kind and language of the texts."""

    def __init__(self) -> None:
        self._parts: list[pa.Table] = []

    def add(self, rows: pa.RecordBatch) -> None:
        import pyarrow as pa

        columns = [rows["iteration"], language_of(rows), rows["kind"], rows["language"], rows["margin"].is_valid()]
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


_COUNTED = ("iteration", "language", "kind", "texts")


def _check_asked(source: PairSource, wanted: Wanted, counts: Sequence[dict[str, Any]]) -> None:
    for what, asked in (("language", wanted.languages), ("kind", wanted.kinds), ("iteration", wanted.iterations)):
        there = list(dict.fromkeys(row[what] for row in counts))
        missing = [value for value in asked if value not in there]
        if missing:
            raise RowError(
                f"{source.name}: no pairs of {what} {', '.join(map(str, missing))}; it has {', '.join(map(str, there))}"
            )


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

    wanted = Wanted(tuple(languages or ()), tuple(kinds or ()), tuple(iterations or ()), min_margin)
    source = open_pairs(reference, config=config, split=split).of_iterations(wanted.iterations)
    mapped = Mapped(column_map(columns) if columns else None, language)
    if wanted.columns:
        census(source, wanted, mapped)
    folder = Path(tempfile.mkdtemp(prefix="lidr-pairs-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    _write_arrow(folder / "pairs.arrow", (wanted.of(b) for b in pair_batches(source, ROWS_PER_BATCH, _ALL, mapped)))
    return Dataset.from_file(str(folder / "pairs.arrow"))


def column_map(given: Mapping[str, str | None]) -> ColumnMap:
    """A column map from a mapping.

    Raises:
        RowError: a word that no column is for.
    """
    roles = [field.name for field in fields(ColumnMap)]
    wrong = [role for role in given if role not in roles]
    if wrong:
        raise RowError(f"column map: {wrong[0]!r} is no column that pairs have; allowed: {', '.join(roles)}")
    if any(given.get(role, "") is None for role in ("chosen", "rejected")):
        raise RowError("column map: chosen and rejected must each be a column")
    found: ColumnMap = replace(ColumnMap(), **dict[str, Any](given))
    return found


_ALL = tuple(Pair.schema.names)


def _write_arrow(path: Path, batches: Iterator[pa.RecordBatch]) -> None:
    """The rows as a stream that is mapped into memory, not loaded."""
    import pyarrow as pa

    schema = Pair.schema.remove_metadata()
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, schema) as writer:
        for batch in batches:
            writer.write_batch(batch.select(schema.names).cast(schema))
