"""The prompts of a recipe in all its languages, joined by id: as a table, as texts, or only looked at."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypedDict, Unpack

from lidr.errors import RowError
from lidr.recipe import PromptColumns
from lidr.rows import Prompt
from lidr.steps.prompts.prompt_rows import Ids, placed_prompts

if TYPE_CHECKING:
    import polars as pl

_SHOWN = 5  # ids named in a message

Texts = dict[str, dict[str, str]]
"""Language -> id -> text, in the order of the file."""


class HowRead(TypedDict, total=False):
    """How files of prompts are read.

    Args:
        id_prefix: "language" takes the code off ids that begin with it (GSM8K: `degsm8k_0` in de, `gsm8k_0` in en), so
            that they join. A file is stripped whole, or not at all where no id begins with the code.
        columns: which columns hold what; None: by their usual names.
        ids: how ids are made where no column holds them: "content", 12 hex digits of the SHA-256 of the first
            language's text, the second time with -2; "row", the number of the row. None: "content" in a table whose
            rows hold all languages, else they must be given.
    """

    id_prefix: Literal["language"] | None
    columns: PromptColumns | None
    ids: Ids


def read_prompts(source: Path | Sequence[Path], languages: Sequence[str], **how: Unpack[HowRead]) -> pl.DataFrame:
    """Read the prompts of each language, in the order of `languages` and of the files.

    Args:
        source: a folder with one file for each language, or a file, or files, of one table.
        languages: codes, the dominant one first.
        how: see `HowRead`.

    Returns:
        The columns of rows.Prompt. An id that is a whole number in JSON is taken as its digits.

    Raises:
        RowError: a file is missing or cannot be read, a column or a language is missing, or a row lacks an id or a
            text; the message says file:line.
    """
    import polars as pl

    texts = prompt_texts(source, languages, **how)
    schema = pl.DataFrame(Prompt.schema.empty_table()).schema
    return pl.concat(
        pl.DataFrame({"prompt_id": list(of), "language": code, "text": list(of.values())}, schema=schema)
        for code, of in texts.items()
    )


def prompt_texts(source: Path | Sequence[Path], languages: Sequence[str], **how: Unpack[HowRead]) -> Texts:
    """As `read_prompts`, without a data frame."""
    columns, ids = how.get("columns"), how.get("ids")
    found: Texts = {code: {} for code in languages}
    for place, code, prompt_id, text in placed_prompts(source, languages, columns, ids):
        if prompt_id in found[code]:
            again = placed_prompts(source, languages, columns, ids)
            first = next(before for before, *what, _ in again if what == [code, prompt_id])
            raise RowError(f'{place}: id "{prompt_id}" already stands at {first}; ids must be unique')
        found[code][prompt_id] = text
    if how.get("id_prefix") != "language":
        return found
    return {
        code: dict(zip(_without_prefix(source, code, list(texts)), texts.values(), strict=True))
        for code, texts in found.items()
    }


def parallel_prompts(source: Path | Sequence[Path], languages: Sequence[str], **how: Unpack[HowRead]) -> int | None:
    """How many prompts there are, where every language has the same ids, each once; None where that is in doubt.

    All rows are read, and none is held: of each prompt and language it takes some 40 bytes, while it compares.

    Raises:
        RowError: as `read_prompts`, but for ids.
    """
    found = {code: array("q") for code in languages}
    with_code = Counter[str]()
    for _, code, prompt_id, _ in placed_prompts(source, languages, how.get("columns"), how.get("ids")):
        if how.get("id_prefix") == "language" and prompt_id.startswith(code):
            with_code[code] += 1
            prompt_id = prompt_id.removeprefix(code)
        found[code].append(hash(prompt_id))
    first = sorted(found[languages[0]])
    is_certain = all(one != other for one, other in pairwise(first)) and all(
        with_code[code] in (0, len(own)) and (own == found[languages[0]] or sorted(own) == first)
        for code, own in found.items()
    )
    return len(first) if is_certain else None


def _without_prefix(path: object, language: str, ids: list[str]) -> list[str]:
    bare = [prompt_id for prompt_id in ids if not prompt_id.startswith(language)]
    if bare and len(bare) < len(ids):
        shown = ", ".join(bare[:_SHOWN]) + (", ..." if len(bare) > _SHOWN else "")
        raise RowError(
            f"{path}: {len(ids) - len(bare)} ids begin with the language's code {language} and {len(bare)} do not: "
            f"{shown}; with id_prefix: language, all must or none"
        )
    return ids if bare else [prompt_id.removeprefix(language) for prompt_id in ids]
