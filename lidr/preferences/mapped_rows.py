"""A set in columns of its own, read as pairs: what each column is, by a map or by the usual names."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lidr.errors import RowError
from lidr.language_tags import unknown_language
from lidr.languages import LANGUAGES
from lidr.preferences.columns import Foreign, check_weights
from lidr.preferences.json_talk import told, told_in_json
from lidr.preferences.pair_source import PairSource
from lidr.preferences.set_columns import check_parts, named_in, usual_columns
from lidr.preferences.spoken_languages import SPOKEN, languages_in
from lidr.recipe import Columns
from lidr.rows import WEIGHT, Pair
from lidr.tables import OTHER_PARTS, bare, decoded, file_batches, file_schema, values_among_texts

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

_TALK = ("prompt", "chosen", "rejected")
_TEXTS = (*_TALK, "input", "system")


@dataclass(frozen=True)
class Mapped:
    """How the rows of a set that is not lidr's become pairs; of lidr's own only what the map says of weights is used.

    Args:
        columns: which columns hold what; None: chosen and rejected, the prompt as `set_columns` says, and of language,
            other_language, kind, iteration, score_chosen, score_rejected and margin those whose every value is one;
            of languages those that are there. A map that says of nothing but weights is the same as None for the rest.
        language: of every row, where no column says it.
        otherwise: the same of sets of which nobody says a language at all; never of rows that leave open what others of
            the set say.
        dominant: pairs in this language are of kind `dominant`.
        languages: of the recipe; a region of a language that it has without one is dropped. Empty: all tags stay.

    Raises:
        RowError: a language that is none.
    """

    columns: Columns | None = None
    language: str | None = None
    dominant: str = "en"
    languages: tuple[str, ...] = ()
    otherwise: str | None = None

    def __post_init__(self) -> None:
        if self.language is not None and self.language not in LANGUAGES:
            raise RowError(f"language of the pairs: {unknown_language(self.language)}")

    @property
    def form(self) -> Columns | None:
        """The map of everything but weights; None: there is none."""
        return None if self.columns is None else self.columns.form

    def is_native(self, source: PairSource) -> bool:
        """Whether the rows are read as lidr's own."""
        return self.form is None and source.is_ours


def mapped_batches(source: PairSource, rows: int, mapped: Mapped) -> Iterator[tuple[pa.RecordBatch, Any]]:
    """Pairs made from another's rows, each batch with a polars frame of what was dropped and why.

    A pair is named by the set and its row; a prompt without an id by a hash of its text.

    Raises:
        RowError: a column is missing, or holds something else.
    """
    foreign, first = foreign_of(source, mapped), 0
    is_told = [role for role in _TALK if role in foreign.columns and _is_told(source, foreign.columns[role])]
    seen: dict[tuple[str, str], tuple[int, int]] = {}
    for _, path in source.files:
        there = file_schema(path).names
        needed = [name for role, name in foreign.columns.items() if role not in SPOKEN or name in there]
        needed += [name for name in foreign.others if name in there]
        begun = first
        for batch in file_batches(path, rows, list(dict.fromkeys(needed))):
            read = foreign(_frame(batch, foreign.columns, is_told, path, first - begun), first=first)
            first += batch.num_rows
            pairs = _named(read.pairs, source.name)
            _check_ids(pairs, seen, f"{source.name}: column {foreign.columns.get('id')}")
            yield as_pairs(pairs), _named(read.dropped, source.name)


def weights_of(source: PairSource, mapped: Mapped) -> str | None:
    """The column that is read as the pairs' weights: the one that the map says, or `weight` of lidr's own sets, where
    it holds numbers.

    Raises:
        RowError: some files of a set of lidr's own have it, and others do not.
    """
    if mapped.columns is not None and WEIGHT in mapped.columns.model_fields_set:
        return mapped.columns.weight
    if not mapped.is_native(source) or not (weighted := source.weighted_files):
        return None
    for _, path in source.files:
        if path not in weighted:
            raise RowError(
                f"{path}: no numbers in a column weight, and other files of {source.name} have them, which say how "
                "much a pair counts. Write them there too, or leave all out with the column map: weight=- (in recipes "
                "columns: {weight: null})"
            )
    return WEIGHT


def check_weights_of(source: PairSource, mapped: Mapped) -> None:
    """Refuse weights that are none as reading the pairs does; no other column is read.

    Raises:
        RowError: names the file, the column and the row.
    """
    import polars as pl

    if (column := weights_of(source, mapped)) is None:
        return
    for _, path in source.files:
        first = 0
        for batch in file_batches(path, 50_000, [column]):
            check_weights(pl.Series(batch[column]), f"{path}: column {column}", first)
            first += batch.num_rows


def _is_told(source: PairSource, column: str) -> bool:
    return told_in_json([path for _, path in source.files], column)


def _frame(
    batch: pa.RecordBatch, columns: Mapping[str, str], is_told: Sequence[str], path: Path, first: int
) -> pl.DataFrame:
    """A batch with its texts as texts, and messages in JSON as messages; its weights are checked."""
    import polars as pl

    named = {name: f"{path}: column {name}" for role, name in columns.items() if role in (*_TEXTS, "id", *SPOKEN)}
    arrays = [
        decoded(column, named[name], first) if name in named else column
        for name, column in zip(batch.schema.names, batch.columns, strict=True)
    ]
    frame = pl.DataFrame(dict(zip(batch.schema.names, arrays, strict=True)))
    if WEIGHT in columns:
        check_weights(frame[columns[WEIGHT]], f"{path}: column {columns[WEIGHT]}", first)
    return frame.with_columns(told(frame[name]) for name in dict.fromkeys(columns[role] for role in is_told))


def _check_ids(pairs: pl.DataFrame, seen: dict[tuple[str, str], tuple[int, int]], where: str) -> None:
    """Refuse an id that names two prompts of one language: what is done by prompt would take them for one."""
    import polars as pl

    named = pairs.filter(pl.col("id").is_not_null())
    for place, id_, language, text in named.select(
        "row", "id", "language", bare(pl.col("prompt_text")).hash()
    ).iter_rows():
        before, said = seen.setdefault((id_, language), (place, text))
        if said != text:
            raise RowError(
                f"{where}: {id_!r} names another prompt in row {place + 1:,} than in row {before + 1:,}. Give each "
                "prompt an id of its own, or leave id out of the column map: then prompts are named by their text"
            )


def foreign_of(source: PairSource, mapped: Mapped) -> Foreign:
    """How this set is read.

    Raises:
        RowError: the map names a column that is not there, or one of languages holds something else.
    """
    files = [path for _, path in source.files]
    columns = mapped.form or usual_columns(files)
    if (weights := weights_of(source, mapped)) is not None:
        columns = columns.model_copy(update={WEIGHT: weights})
    named = columns.named
    columns.check(columns_there(source, columns), source.name)
    check_parts(files, columns)
    for path in files:
        values_among_texts(path, [named[role] for role in _TEXTS if role in named])
    is_said = mapped.language is not None
    spoken = {
        role: languages_in(files, named[role], mapped.languages, source.name, is_said=is_said)
        for role in SPOKEN
        if role in named
    }
    others = tuple(name for name in named_in(files, OTHER_PARTS) if name not in named.values())
    return Foreign(named, mapped.dominant, mapped.language or mapped.otherwise, spoken=spoken, others=others)


def columns_there(source: PairSource, columns: Columns) -> tuple[str, ...]:
    """The columns that a map may name: those of the first file, and of languages those of any."""
    spoken = [name for role, name in columns.named.items() if role in SPOKEN]
    more = named_in([path for _, path in source.files], spoken)
    return tuple(dict.fromkeys((*source.columns, *more)))


def says_language(source: PairSource, mapped: Mapped) -> bool:
    """Whether anybody says the language of a set's pairs: a column, or the settings."""
    if mapped.language is not None or mapped.is_native(source):
        return True
    columns = mapped.form or usual_columns([path for _, path in source.files])
    return "language" in columns.named


def language_tags(source: PairSource, mapped: Mapped) -> dict[str, str]:
    """What the set writes for a language -> the language it is read as, where these are not the same."""
    return {value: code for value, code in _spoken(source, mapped) if value != code}


def languages_of(source: PairSource, mapped: Mapped) -> frozenset[str]:
    """The languages that a set's columns name, as the recipe names them; of these columns alone rows are read."""
    return frozenset(code for _, code in _spoken(source, mapped))


def _spoken(source: PairSource, mapped: Mapped) -> Iterator[tuple[str, str]]:
    """What is written for a language, and the language that it is, of each column of languages."""
    if mapped.is_native(source):
        spoken = [languages_in([p for _, p in source.files], role, mapped.languages, source.name) for role in SPOKEN]
    else:
        spoken = [dict(values) for values in foreign_of(source, mapped).spoken.values()]
    for values in spoken:
        yield from sorted(values.items())


def _named(frame: Any, name: str) -> Any:
    import polars as pl

    texts = frame["prompt_text"].to_list()
    hashes = [hashlib.blake2b((text or "").encode(), digest_size=8).hexdigest() for text in texts]
    return frame.with_columns(
        prompt_id=pl.coalesce(pl.col("id"), pl.Series(hashes, dtype=pl.String)),
        pair_id=pl.format("{}/{}", pl.lit(name), "row"),
    )


def as_pairs(frame: Any) -> pa.RecordBatch:
    """A polars frame with some columns of rows.Pair as one batch with all of them, the others null; with weights, where
    it has them."""
    import polars as pl
    import pyarrow as pa

    table = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
    there = set(table.schema.names)
    schema = Pair.schema_with(there & {WEIGHT})
    arrays = [
        table[f.name].combine_chunks().cast(f.type) if f.name in there else pa.nulls(len(table), f.type) for f in schema
    ]
    return pa.record_batch(arrays, schema=schema)
