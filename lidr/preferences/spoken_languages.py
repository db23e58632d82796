"""The languages that a set names, as the recipe names them: "DE" and "German" are de; pt-BR is pt where it has only pt.

A value that says no language is refused: taken for none at all, its row would be read as one of the dominant language.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lidr.errors import RowError
from lidr.language_tags import in_recipe, read_tag
from lidr.tables import decoded, file_batches, file_schema, text_type

if TYPE_CHECKING:
    import pyarrow as pa

SPOKEN = ("language", "other_language")
_FIRST = 5


def as_spoken(values: Iterable[str | None], codes: Collection[str], where: str) -> dict[str, str]:
    """Each value -> the language that it is; null is none.

    Args:
        values: of a column.
        codes: languages of the recipe; with none every tag stays as it is.
        where: for messages: the set or file, and its column.

    Raises:
        RowError: names the values that say no language.
    """
    given = [value for value in dict.fromkeys(values) if value is not None]
    read = {value: read_tag(value) for value in given}
    if odd := [value for value, tag in read.items() if tag is None]:
        more = f" and {len(odd) - _FIRST:,} more" if len(odd) > _FIRST else ""
        raise RowError(
            f"{where}: {', '.join(map(repr, odd[:_FIRST]))}{more}: no language that lidr knows. Write codes (de, "
            "pt-BR) or names (German); or, if the column holds something else, give a column map without it "
            "(columns: {prompt: prompt}) and say the language of all rows"
        )
    return {value: in_recipe(tag, codes) for value, tag in read.items() if tag is not None}


def languages_in(
    files: Sequence[Path], column: str, codes: Collection[str], where: str, *, is_said: bool = True
) -> dict[str, str]:
    """The same of a column of some files, read once; a file without the column says nothing of its rows.

    Args:
        files, column, codes: where what is read.
        where: for messages.
        is_said: whether somebody says the language of rows without one.

    Raises:
        RowError: names what says no language, the type that cannot say one, or the file whose rows say none where
            others do.
    """
    found = [_values(path, column, path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    spoken = as_spoken((value for values in found for value in values), codes, f"{where}: column {column}")
    silent = next((path for path, values in zip(files, found, strict=True) if None in values), None)
    if spoken and silent is not None and not is_said:
        raise RowError(
            f"{silent}: rows without a {column}, and other rows of {where} have one; unknown is not taken for the "
            "dominant language. Fill the column, or say the language of the rows without one (language: de, "
            "--language de)"
        )
    return spoken


def respelt(column: pa.Array, spoken: Mapping[str, str]) -> pa.Array:
    """The column in the recipe's codes; the column itself where it has them already."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if all(value == code for value, code in spoken.items()):
        return column
    places = pc.index_in(column, value_set=pa.array(list(spoken), column.type))
    return pa.array(list(spoken.values()), column.type).take(places)


@lru_cache(maxsize=64)
def _values(path: Path, column: str, size: int, changed: int) -> tuple[Any, ...]:
    import pyarrow as pa

    schema = file_schema(path)
    if column not in schema.names:
        return (None,)
    kind = schema.field(column).type
    if not (pa.types.is_null(kind) or text_type(kind)):
        raise RowError(
            f"{path}: column {column} is {kind}, which says no language: write codes (de, pt-BR) or names (German); or "
            "give a column map without it (columns: {prompt: prompt}) and say the language of all rows"
        )
    found: dict[Any, None] = {}
    for batch in file_batches(path, 50_000, [column]):
        found.update(dict.fromkeys(decoded(batch[column], f"{path}: column {column}").unique().to_pylist()))
    return tuple(found)
