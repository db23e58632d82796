"""Pairs for somebody else's trainer: which there are, those that are wanted, and them as a `datasets.Dataset`."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections import Counter
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


def check_scored(source: PairSource, wanted: Wanted, mapped: Mapped | None = None) -> None:
    """Refuse a least margin of pairs that nobody scored, before anything is written.

    Raises:
        RowError: says how many, and how to score them.
    """
    if wanted.min_margin is None:
        return
    without = replace(wanted, min_margin=None)
    unscored = total = 0
    for batch in pair_batches(source, 50_000, FACTS, mapped):
        rows = without.of(batch)
        unscored, total = unscored + rows["margin"].null_count, total + rows.num_rows
    if unscored:
        raise RowError(f"{source.name}: {unscored:,} of {total:,} pairs have no margin: {NO_MARGIN}")


def counts_of(source: PairSource, wanted: Wanted, mapped: Mapped | None = None) -> list[dict[str, Any]]:
    """How many pairs there are by iteration, non-dominant language and kind, the language of their texts, and how many
    of them are scored.
    """
    counts: Counter[tuple[Any, ...]] = Counter()
    for batch in pair_batches(source, 50_000, FACTS, mapped):
        rows = wanted.of(batch)
        keys = [c.to_pylist() for c in (rows["iteration"], language_of(rows), rows["kind"], rows["language"])]
        counts.update(zip(*keys, rows["margin"].is_valid().to_pylist(), strict=True))
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for (*key, is_scored), count in sorted(counts.items(), key=lambda item: [str(part) for part in item[0]]):
        names = dict(zip(("iteration", "language", "kind", "texts"), key, strict=True))
        row = found.setdefault(tuple(key), {**names, "pairs": 0, "scored": 0})
        row["pairs"] += count
        row["scored"] += count * is_scored
    return list(found.values())


def check_asked(source: PairSource, wanted: Wanted, counts: Sequence[dict[str, Any]]) -> None:
    """Refuse languages, kinds and iterations of which there is no pair: a misspelt name would give an empty set.

    Args:
        counts: of all pairs of the source.

    Raises:
        RowError: says what there is.
    """
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
    check_asked(source, wanted, counts_of(source, Wanted(), mapped) if wanted.columns else [])
    check_scored(source, wanted, mapped)
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
