"""Rows with lidr's own columns, as somebody may have changed them: types that are checked, rows that cannot be pairs.

    reason            a row is dropped when
    incomplete        a column that every pair has is null: NEEDED, but for the sides and the prompt
    empty             its prompt, chosen or rejected has no message, or one without a role or content
    several_messages  chosen or rejected is not one message
    no_answer         the message of a side is not the assistant's
    not_text          a message that somebody gave more fields is more than text: a call of a tool; or the row has tools

A Parquet file's own statistics mostly prove that it holds no such row; then nothing is looked at row by row.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lidr.errors import RowError
from lidr.preferences.columns import check_kinds, check_weights
from lidr.preferences.messages import holds_more, is_there
from lidr.preferences.spoken_languages import SPOKEN, as_spoken, respelt
from lidr.rows import WEIGHT, Pair
from lidr.tables import OTHER_PARTS, THOUGHTS, file_batches, file_schema

if TYPE_CHECKING:
    import polars as pl

_SIDES = ("chosen", "rejected")
_TALK = ("prompt", *_SIDES)
_FLAT = ("pair_id", "prompt_id", "language", "other_language", "kind", "iteration", "prompt_text", "chosen_text",
         "rejected_text")  # fmt: skip
NEEDED = (*_FLAT, *_TALK)
"""Columns of rows.Pair in which every pair has a value."""


def own_batches(
    files: Sequence[Path],
    rows: int,
    columns: Sequence[str],
    languages: Collection[str] = (),
    weights: str | None = None,
) -> Iterator[tuple[pa.RecordBatch, pl.DataFrame | None]]:
    """Yield pairs in order with these columns in the types of rows.Pair, each batch with what was dropped of it.

    A dropped row has `reason` beside the columns of NEEDED; None: nothing was.

    Args:
        files: of rows.
        rows: of a batch, at most.
        columns: names of columns.
        languages: of the recipe.
        weights: the column that is read as `weight`, where this is asked for.

    Raises:
        RowError: a column holds another type, a kind or language that there is not, or what is no weight.
    """
    import polars as pl

    for path in files:
        check_types(path)
        others = _more_than_text(path)
        doubts = NEEDED if others else doubtful(path)
        read = list(dict.fromkeys([*columns, *(NEEDED if doubts else ())]))
        stored = [weights or WEIGHT if name == WEIGHT else name for name in read]
        first = 0
        for found in file_batches(path, rows, list(dict.fromkeys([*stored, *others]))):
            if WEIGHT in read:
                check_weights(pl.Series(found[weights or WEIGHT]), f"{path}: column {weights or WEIGHT}", first)
            batch = _typed(path, pa.record_batch([found[name] for name in stored], names=read))
            first += batch.num_rows
            if "kind" in read:
                check_kinds(batch["kind"].unique().to_pylist(), f"{path}: column kind")
            batch = _respelt(path, batch, languages)
            yield _sorted(batch, columns, doubts, _holds_more(found, others)) if doubts else (batch, None)


def _more_than_text(path: Path) -> tuple[str, ...]:
    """Columns of messages with more fields than lidr writes, and columns beside them, that may hold no text."""
    schema = file_schema(path)

    def is_more(name: str) -> bool:
        kind = schema.field(name).type
        turn = kind.value_type if pa.types.is_list(kind) or pa.types.is_large_list(kind) else kind
        return pa.types.is_struct(turn) and any(turn.get_field_index(part) >= 0 for part in (*OTHER_PARTS, *THOUGHTS))

    return tuple(name for name in schema.names if name in OTHER_PARTS or (name in _TALK and is_more(name)))


def _holds_more(batch: pa.RecordBatch, others: Sequence[str]) -> pl.Series:
    """Whether anything that is no text stands in these columns, row by row."""
    import polars as pl

    if not others:
        return pl.repeat(False, batch.num_rows, eager=True)
    frame = pl.DataFrame(batch.select(list(others)))
    found = [
        holds_more(name, type_) if name in _TALK else is_there(pl.col(name), type_)
        for name, type_ in frame.schema.items()
    ]
    return frame.select(pl.any_horizontal(found)).to_series()


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
    needed = {one.name: one.type for one in Pair.schema_with((WEIGHT,))}
    types = [needed.get(one.name, one.type) for one in batch.schema]  # switches of a template have any type
    if types == batch.schema.types:
        return batch
    try:
        arrays = [column.cast(type_) for column, type_ in zip(batch.columns, types, strict=True)]
    except pa.ArrowInvalid as error:
        raise RowError(f"{path}: a value does not fit its column: {str(error).splitlines()[0]}") from error
    return pa.record_batch(arrays, names=batch.schema.names)


def _sorted(
    batch: pa.RecordBatch, columns: Sequence[str], doubts: Sequence[str], more: pl.Series
) -> tuple[pa.RecordBatch, pl.DataFrame | None]:
    import polars as pl

    said = pl.when(pl.lit(more)).then(pl.lit("not_text"))
    reasons = pl.DataFrame(batch).select(reason=pl.coalesce(_reason(doubts), said))["reason"]
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
