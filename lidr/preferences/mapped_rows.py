"""A set in columns of its own, read as pairs: what each column is, by a map or by the usual names."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lidr.errors import RowError
from lidr.language_tags import unknown_language
from lidr.languages import LANGUAGES
from lidr.preferences.columns import KINDS, Foreign
from lidr.preferences.native_rows import fits
from lidr.preferences.pair_source import PairSource
from lidr.preferences.row_files import file_batches, file_schema
from lidr.preferences.spoken_languages import SPOKEN, languages_in
from lidr.recipe import Columns
from lidr.rows import Pair

if TYPE_CHECKING:
    import pyarrow as pa

_USUAL = ("language", "other_language", "kind", "iteration", "score_chosen", "score_rejected", "margin")


@dataclass(frozen=True)
class Mapped:
    """How the rows of a set that is not lidr's become pairs; of lidr's own nothing here is used.

    Args:
        columns: which columns hold what; None: prompt (if there is one), chosen and rejected, and of language,
            other_language, kind, iteration, score_chosen, score_rejected and margin those whose every value is one;
            of languages those that are there.
        language: of every row, where no column says it.
        dominant: pairs in this language are of kind `dominant`.
        languages: of the recipe; a region of a language that it has without one is dropped. Empty: all tags stay.

    Raises:
        RowError: a language that is none.
    """

    columns: Columns | None = None
    language: str | None = None
    dominant: str = "en"
    languages: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.language is not None and self.language not in LANGUAGES:
            raise RowError(f"language of the pairs: {unknown_language(self.language)}")


def column_map(given: Mapping[str, str | None]) -> Columns:
    """A column map from a mapping.

    Raises:
        RowError: a word that no column is for.
    """
    roles = list(Columns.model_fields)
    wrong = [role for role in given if role not in roles]
    if wrong:
        raise RowError(f"column map: {wrong[0]!r} is no column that pairs have; allowed: {', '.join(roles)}")
    if any(given.get(role, "") is None for role in ("chosen", "rejected")):
        raise RowError("column map: chosen and rejected must each be a column")
    return Columns.model_construct(None, **dict[str, Any](given))  # what is no text is refused as not there


def mapped_batches(source: PairSource, rows: int, mapped: Mapped) -> Iterator[tuple[pa.RecordBatch, Any]]:
    """Pairs made from another's rows, each batch with a polars frame of what was dropped and why.

    A pair is named by the set and its row; a prompt without an id by a hash of its text.

    Raises:
        RowError: a column is missing, or holds something else.
    """
    import polars as pl

    foreign = foreign_of(source, mapped)
    first = 0
    for batch in source.batches(rows, list(dict.fromkeys(foreign.columns.values()))):
        read = foreign(pl.DataFrame(batch), first=first)
        first += batch.num_rows
        yield as_pairs(_named(read.pairs, source.name)), _named(read.dropped, source.name)


def foreign_of(source: PairSource, mapped: Mapped) -> Foreign:
    """How this set is read.

    Raises:
        RowError: the map names a column that is not there, or one of languages holds something else.
    """
    files = [path for _, path in source.files]
    columns = mapped.columns or usual_columns(files)
    columns.check(source.columns, source.name)
    named = columns.named
    spoken = {role: languages_in(files, named[role], mapped.languages, source.name) for role in SPOKEN if role in named}
    return Foreign(named, mapped.dominant, mapped.language, spoken=spoken)


def language_tags(source: PairSource, mapped: Mapped) -> dict[str, str]:
    """What the set writes for a language -> the language it is read as, where these are not the same."""
    if mapped.columns is None and source.is_ours:
        spoken = [languages_in([p for _, p in source.files], role, mapped.languages, source.name) for role in SPOKEN]
    else:
        spoken = [dict(values) for values in foreign_of(source, mapped).spoken.values()]
    return {value: code for values in spoken for value, code in sorted(values.items()) if value != code}


def usual_columns(files: Sequence[Path]) -> Columns:
    """A column map of the usual names: what every file has, and nothing but values that a pair can have.

    A column of languages counts whatever it holds: what says no language in it is refused where it is read.
    """
    return _usual(tuple((path, path.stat().st_size, path.stat().st_mtime_ns) for path in files))


@lru_cache(maxsize=16)
def _usual(files: tuple[tuple[Path, int, int], ...]) -> Columns:
    schemas = [file_schema(path) for path, _, _ in files]
    spoken = [name for name in SPOKEN if all(name in schema.names for schema in schemas)]
    there = [
        name
        for name in _USUAL
        if name not in SPOKEN
        and all(name in s.names and fits(s.field(name).type, Pair.schema.field(name).type) for s in schemas)
    ]
    odd: set[str] = set()
    for path, _, _ in files if there else ():
        for batch in file_batches(path, 50_000, there):
            odd.update(name for name in there if name not in odd and not _is_valid(name, batch[name]))
    prompt = "prompt" if "prompt" in schemas[0].names else None
    return Columns(prompt=prompt, **{name: name for name in (*spoken, *there) if name not in odd})


def _is_valid(name: str, column: pa.Array) -> bool:
    """Whether every value is one that pairs can have; null is the same as no value."""
    import pyarrow.compute as pc

    if name == "kind":
        return all(value is None or value in KINDS for value in column.unique().to_pylist())
    return name != "iteration" or bool(pc.all(pc.greater_equal(column.cast("int64"), 1)).as_py() in (True, None))


def _named(frame: Any, name: str) -> Any:
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
