"""Rows with lidr's own columns, as somebody may have changed them: types that are checked, rows that cannot be pairs.

    reason            a row is dropped when
    incomplete        a column that every pair has is null: NEEDED, but for the sides and the prompt
    empty             its prompt, chosen or rejected has no message, or one without a role or content
    several_messages  chosen or rejected is not one message
    no_answer         the message of a side is not the assistant's

A Parquet file's own statistics mostly prove that it holds no such row; then nothing is looked at row by row.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lidr.errors import RowError
from lidr.preferences.columns import check_kinds
from lidr.preferences.row_files import file_batches, file_schema
from lidr.preferences.spoken_languages import SPOKEN, as_spoken, respelt
from lidr.rows import Pair

if TYPE_CHECKING:
    import polars as pl

_SIDES = ("chosen", "rejected")
_TALK = ("prompt", *_SIDES)
_FLAT = ("pair_id", "prompt_id", "language", "other_language", "kind", "iteration", "prompt_text", "chosen_text",
         "rejected_text")  # fmt: skip
NEEDED = (*_FLAT, *_TALK)
"""Columns of rows.Pair in which every pair has a value."""


def own_batches(
    files: Sequence[Path], rows: int, columns: Sequence[str], languages: Collection[str] = ()
) -> Iterator[tuple[pa.RecordBatch, pl.DataFrame | None]]:
    """Yield pairs in order with these columns in the types of rows.Pair, each batch with what was dropped of it.

    A dropped row has `reason` beside the columns of NEEDED; None: nothing was.

    Raises:
        RowError: a column holds another type, or a kind or language that there is not.
    """
    for path in files:
        check_types(path)
        doubts = doubtful(path)
        read = list(dict.fromkeys([*columns, *(NEEDED if doubts else ())]))
        for found in file_batches(path, rows, read):
            batch = _typed(path, found)
            if "kind" in read:
                check_kinds(batch["kind"].unique().to_pylist(), f"{path}: column kind")
            batch = _respelt(path, batch, languages)
            yield _sorted(batch, columns, doubts) if doubts else (batch, None)


def _respelt(path: Path, batch: pa.RecordBatch, languages: Collection[str]) -> pa.RecordBatch:
    """The batch with languages as the recipe names them."""
    for place, name in enumerate(batch.schema.names):
        if name in SPOKEN:
            column = batch[name]
            spoken = as_spoken(column.unique().to_pylist(), languages, f"{path}: column {name}")
            batch = batch.set_column(place, name, respelt(column, spoken))
    return batch


def fits(found: pa.DataType, needed: pa.DataType) -> bool:
    """Whether every value of a type has its place in the other: a null column is of any type."""
    types = pa.types
    if types.is_null(found):
        return True
    if types.is_string(needed):
        return bool(types.is_string(found) or types.is_large_string(found) or types.is_string_view(found))
    if types.is_int32(needed):
        return bool(types.is_integer(found))
    if types.is_float64(needed):
        return bool(types.is_floating(found) or types.is_integer(found))
    if types.is_struct(needed):
        return types.is_struct(found) and all(
            found.get_field_index(f.name) >= 0 and fits(found.field(f.name).type, f.type) for f in needed
        )
    return bool(types.is_list(found) or types.is_large_list(found)) and fits(found.value_type, needed.value_type)


def check_types(path: Path) -> None:
    """Refuse a file with lidr's column names and other types in them.

    Raises:
        RowError: names the column, the type that was found and the one that is needed.
    """
    schema = file_schema(path)
    for needed in Pair.schema:
        place = schema.get_field_index(needed.name)
        if place >= 0 and not fits(found := schema.field(place).type, needed.type):
            raise RowError(
                f"{path}: column {needed.name} is {found} and must be {needed.type}, as in all pairs that lidr makes. "
                "Write it so; or, if this is another's set, say with a column map what its columns are"
            )


def doubtful(path: Path) -> tuple[str, ...]:
    """Columns of NEEDED in which a row of the file may be unusable; all of them where no statistics say."""
    if path.suffix != ".parquet":
        return NEEDED
    stat = path.stat()
    return _doubtful(path, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=64)
def _doubtful(path: Path, size: int, changed: int) -> tuple[str, ...]:
    import pyarrow.parquet as pq

    meta = pq.read_metadata(path)
    found = dict.fromkeys(name for name in NEEDED if name not in meta.schema.to_arrow_schema().names)
    paths = [meta.schema.column(place).path.split(".") for place in range(meta.num_columns)]
    for number in range(meta.num_row_groups):
        group = meta.row_group(number)
        for place, (name, *below) in enumerate(paths):
            if name in NEEDED and name not in found and not _is_sure(group.column(place), name, below, group.num_rows):
                found[name] = None
    return tuple(name for name in NEEDED if name in found)


def _is_sure(chunk: Any, name: str, below: Sequence[str], rows: int) -> bool:
    """Whether statistics prove that no row fails: an empty list counts as a null, so no null and as many values as
    rows are one each."""
    said = chunk.statistics
    if said is None or not said.has_null_count or said.null_count:
        return False
    if name not in _SIDES:
        return True
    is_one = chunk.num_values == rows
    return is_one and (below[-1:] != ["role"] or (said.has_min_max and said.min == said.max == "assistant"))


def _typed(path: Path, batch: pa.RecordBatch) -> pa.RecordBatch:
    """The batch in the types of rows.Pair."""
    types = [Pair.schema.field(name).type for name in batch.schema.names]
    if types == batch.schema.types:
        return batch
    try:
        arrays = [column.cast(type_) for column, type_ in zip(batch.columns, types, strict=True)]
    except pa.ArrowInvalid as error:
        raise RowError(f"{path}: a value does not fit its column: {str(error).splitlines()[0]}") from error
    return pa.record_batch(arrays, names=batch.schema.names)


def _sorted(
    batch: pa.RecordBatch, columns: Sequence[str], doubts: Sequence[str]
) -> tuple[pa.RecordBatch, pl.DataFrame | None]:
    import polars as pl

    reasons = pl.DataFrame(batch).select(reason=_reason(doubts))["reason"]
    if reasons.null_count() == len(reasons):
        return batch.select(list(columns)), None
    failed = reasons.is_not_null()
    kept = batch.filter((~failed).to_arrow())
    return kept.select(list(columns)), pl.DataFrame(batch).with_columns(reason=reasons).filter(failed)


def _reason(doubts: Sequence[str]) -> pl.Expr:
    """Why a row is no pair; null where it is one. Only columns in doubt are looked at."""
    import polars as pl

    def any_of(names: Sequence[str], test: Callable[[str], pl.Expr]) -> pl.Expr:
        return pl.any_horizontal(pl.lit(False), *(test(name).fill_null(False) for name in names if name in doubts))

    def is_empty(name: str) -> pl.Expr:
        message = pl.element().struct
        lacks = pl.col(name).list.eval(message.field("role").is_null() | message.field("content").is_null()).list.any()
        return pl.col(name).is_null() | (pl.col(name).list.len() == 0) | lacks

    def is_others(name: str) -> pl.Expr:
        return pl.col(name).list.first().struct.field("role").ne_missing("assistant")

    return (
        pl.when(any_of(_FLAT, lambda name: pl.col(name).is_null()))
        .then(pl.lit("incomplete"))
        .when(any_of(_TALK, is_empty))
        .then(pl.lit("empty"))
        .when(any_of(_SIDES, lambda name: pl.col(name).list.len() > 1))
        .then(pl.lit("several_messages"))
        .when(any_of(_SIDES, is_others))
        .then(pl.lit("no_answer"))
    )
