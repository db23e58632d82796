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
from lidr.preferences.row_files import file_batches, file_schema

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


def languages_in(files: Sequence[Path], column: str, codes: Collection[str], where: str) -> dict[str, str]:
    """The same of a column of some files, read once.

    Raises:
        RowError: names what says no language, or the type that cannot say one.
    """
    found = [_values(path, column, path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    return as_spoken((value for values in found for value in values), codes, f"{where}: column {column}")


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

    kind = file_schema(path).field(column).type
    if not (pa.types.is_null(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind)
            or pa.types.is_string_view(kind)):  # fmt: skip
        raise RowError(
            f"{path}: column {column} is {kind}, which says no language: write codes (de, pt-BR) or names (German); or "
            "give a column map without it (columns: {prompt: prompt}) and say the language of all rows"
        )
    found: dict[Any, None] = {}
    for batch in file_batches(path, 50_000, [column]):
        found.update(dict.fromkeys(batch[column].unique().to_pylist()))
    return tuple(found)
