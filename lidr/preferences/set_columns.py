"""Which columns of a set of others hold what: by a map or by the usual names, and nothing of the prompt in silence.

instruction, input     where there is no column prompt, these are the prompt, as in Alpaca's sets
system                 its system message
input, context, ...    beside a prompt: part of it or not? Refused until a map says, as input: COLUMN or input: null
question, ...          alike, where there is no prompt and the sides hold none

"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lidr.errors import RowError
from lidr.preferences.columns import KINDS
from lidr.preferences.native_rows import fits
from lidr.preferences.spoken_languages import SPOKEN
from lidr.recipe import Columns
from lidr.rows import Pair
from lidr.tables import PROMPT_PARTS, file_batches, file_schema, holds_anything, text_type

if TYPE_CHECKING:
    import pyarrow as pa

_USUAL = ("kind", "iteration", "score_chosen", "score_rejected", "margin")
_PROMPTS = ("instruction", "question", "query", "input", "conversations", "messages", "prompt_text", "prompts")
_FIRST_ROWS = 100  # of a set, that tell whether its answers begin with the prompt
Files = tuple[tuple[Path, int, int], ...]
"""Path, size and time of change of each."""


def usual_columns(files: Sequence[Path]) -> Columns:
    """A column map of the usual names: what every file has, and nothing but values that a pair can have.

    A column of languages counts whatever it holds, and if one file alone has it: what says no language in it is refused
    where it is read.

    Raises:
        RowError: there is no column prompt, and another looks like one.
    """
    return _usual(stamped(files))


def stamped(files: Sequence[Path]) -> Files:
    """The files with what tells that one of them changed."""
    return tuple((path, path.stat().st_size, path.stat().st_mtime_ns) for path in files)


@lru_cache(maxsize=16)
def _usual(files: Files) -> Columns:
    schemas = [file_schema(path) for path, _, _ in files]
    spoken = [name for name in SPOKEN if any(name in schema.names for schema in schemas)]
    there = [
        name
        for name in _USUAL
        if all(name in s.names and fits(s.field(name).type, Pair.schema.field(name).type) for s in schemas)
    ]
    odd: set[str] = set()
    for path, _, _ in files if there else ():
        for batch in file_batches(path, 50_000, there):
            odd.update(name for name in there if name not in odd and not _is_valid(name, batch[name]))
    found = {name: name for name in (*spoken, *there) if name not in odd}
    return Columns(**{**found, **_prompt_of(files[0][0], schemas[0])})


def _is_valid(name: str, column: pa.Array) -> bool:
    """Whether every value is one that pairs can have; null is the same as no value."""
    import pyarrow.compute as pc

    if name == "kind":
        return all(value is None or value in KINDS for value in column.unique().to_pylist())
    return name != "iteration" or bool(pc.all(pc.greater_equal(column.cast("int64"), 1)).as_py() in (True, None))


def _prompt_of(path: Path, schema: pa.Schema) -> dict[str, str | None]:
    """The columns that make up the prompt, by the usual names."""
    import pyarrow as pa

    texts = {field.name for field in schema if text_type(field.type)}
    system: dict[str, str | None] = {"system": "system"} if "system" in texts else {}
    if "prompt" in schema.names:
        return {"prompt": "prompt", **system}
    if "instruction" in texts:
        return {"prompt": "instruction", **({"input": "input"} if "input" in texts else {}), **system}
    looks = [name for name in _PROMPTS if name in schema.names]
    sides = [schema.field(name).type for name in ("chosen", "rejected") if name in schema.names]
    are_talks = any(pa.types.is_list(kind) or pa.types.is_large_list(kind) for kind in sides)
    if looks and sides and not (are_talks and _begin_with_prompt(path, schema)):
        raise RowError(
            f"{path}: no column prompt, and {looks[0]} looks like one. Say with a column map what the prompt is: "
            f"prompt={looks[0]}; or prompt=- (in recipes null) where both sides begin with it"
        )
    return {"prompt": None, **system}


def _begin_with_prompt(path: Path, schema: pa.Schema) -> bool:
    """Whether the sides of any of the first rows are more than an answer each."""
    sides = [name for name in ("chosen", "rejected") if name in schema.names]
    said = [value for name in sides for value in islice(values(path, name), _FIRST_ROWS)]
    return not said or any(not isinstance(value, list) or len(value) > 1 for value in said)


def check_parts(files: Sequence[Path], columns: Columns) -> None:
    """Refuse a column that looks like part of the prompt, holds anything, and of which the map says nothing.

    Raises:
        RowError: names it, with its first value and what to say.
    """
    taken = set(columns.named.values())
    for role, names in PROMPT_PARTS.items():
        if columns.leaves_out(role):
            continue
        for name in names:
            found = None if name in taken else next((_first(*file, name) for file in stamped(files)), None)
            if found is None:
                continue
            about = f"{files[0]}: column {name} looks like part of the prompt (it begins with {found!r})"
            if any(name in (schema := file_schema(file)).names and not text_type(schema.field(name).type)
                   for file in files):  # fmt: skip
                raise RowError(
                    f"{about}, and is no text, so that it cannot be joined to it. Write the whole conversation as "
                    f"messages in one column, or leave it out with a column map that also names the prompt: {role}=- "
                    f"(in recipes {role}: null)"
                )
            raise RowError(
                f"{about}, and nothing says so. Say it with a column map that also names the prompt: {role}={name} "
                f"takes it, {role}=- leaves it out (in recipes {role}: {name}, or {role}: null)"
            )


@lru_cache(maxsize=256)
def _first(path: Path, size: int, changed: int, column: str) -> str | None:
    """The beginning of the first value of a column that holds anything; None: there is none, or no such column."""
    import pyarrow as pa

    schema = file_schema(path)
    if column not in schema.names:
        return None
    kind = schema.field(column).type
    if not (text_type(kind) or pa.types.is_nested(kind)):
        return None
    for value in values(path, column):
        if holds_anything(value):
            return str(value)[:40]
    return None


def values(path: Path, column: str) -> Iterator[Any]:
    """Every value of a column that is not null, in order."""
    for batch in file_batches(path, 4_000, [column]):
        yield from (value for value in batch[column].to_pylist() if value is not None)


def named_in(files: Sequence[Path], names: Sequence[str]) -> tuple[str, ...]:
    """Which of these columns any of the files has."""
    there = {name for path in files for name in file_schema(path).names}
    return tuple(name for name in names if name in there)


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
