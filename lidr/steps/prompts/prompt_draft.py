"""What a new recipe says of prompts that lie here: how many there are, in which columns, in how many languages."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lidr.errors import RowError
from lidr.hub import is_published
from lidr.recipe import PromptColumns, PromptsConfig
from lidr.references import HubReference, parse_reference
from lidr.resources import near_file, resolve_source
from lidr.steps.prompts.prompt_table import IDS, LANGUAGE, TEXTS, makes_ids, prompt_texts
from lidr.steps.prompts.reading_notes import like_ids, own_id_column
from lidr.tables import TABLE_FILES, columns_place, placed_rows


@dataclass(frozen=True)
class PromptDraft:
    """What was seen.

    Args:
        count: prompts; None where nothing was read, as of a data set of the Hub.
        is_one_language: they are in the dominant language alone.
        columns: role -> column, as `prompts.columns` has it; empty where the usual names are found.
        are_ids_made: no column names the prompts: their ids are made from their texts.
    """

    count: int | None = None
    is_one_language: bool = False
    columns: Mapping[str, str] = field(default_factory=dict)
    are_ids_made: bool = False


def draft_prompts(
    source: str, languages: Sequence[str], *, column: str | None = None, one_language: bool = False
) -> PromptDraft:
    """Look at prompts, as far as they lie here.

    Args:
        source: as `prompts.source` names it.
        languages: codes, the dominant one first.
        column: of the text, where the user names it.
        one_language: whether the user says so.

    Raises:
        RowError: they are not there, or cannot be read; or which column holds the text cannot be told.
    """
    path = resolve_source(source, Path())
    if path is not None and not path.exists() and not _is_of_hub(source):
        raise RowError(
            f"no file or folder {source}{near_file(path)}; give a folder with LANG.jsonl, a .csv, or org/name"
        )
    if path is None or not path.exists() or is_published(path):
        return PromptDraft(is_one_language=one_language, columns={"prompt": column} if column else {})
    columns: dict[str, str] = {}
    if path.is_file():
        columns, is_alone = _of_table(path, languages, column)
    else:
        columns = {"prompt": column} if column else {}
        is_alone = not any(path.glob(f"{code}.*") for code in languages[1:])
    is_alone = is_alone or one_language
    codes = languages[:1] if is_alone else languages
    found = prompt_texts(path, codes, columns=PromptColumns(**columns))
    made = makes_ids(path, codes, PromptColumns(**columns), None)
    return PromptDraft(len(found[languages[0]]), is_alone, columns, are_ids_made=made is not None)


def _of_table(path: Path, languages: Sequence[str], column: str | None) -> tuple[dict[str, str], bool]:
    """The columns to write down, and whether the table holds one language alone."""
    place, row = next(placed_rows(path), (str(path), {}))
    if not row:
        raise RowError(f"{path}: no prompts in this file; write one a line, below a header")
    place = columns_place(place)
    columns = dict[str, str]()
    own = own_id_column(path, languages, PromptsConfig(source=str(path), license="unknown"))
    if own is not None and own != column:
        columns["id"] = own
    if column is not None and column not in row:
        near = difflib.get_close_matches(column, list(row), n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise RowError(f"{place}: no column {column}; {hint}Its columns: {', '.join(row)}")
    if column is None and (all(code in row for code in languages) or LANGUAGE in row):
        return columns, False
    if column is None and (some := [code for code in languages[1:] if code in row]):
        there = [code for code in languages if code in row]
        lacking = [code for code in languages if code not in row]
        raise RowError(
            f"{place}: no column for {', '.join(lacking)}, and one for {', '.join(some)}; give the languages that it "
            f"has: --languages {','.join(there)}"
        )
    text = column or _text_column(place, row, languages[0])
    return columns | ({} if text in TEXTS else {"prompt": text}), True


def _text_column(place: str, row: Mapping[str, Any], dominant: str) -> str:
    usual = next((name for name in (*TEXTS, dominant) if name in row), None)
    others = [name for name in row if name not in (*IDS, *like_ids(list(row)))]
    if usual is None and len(others) != 1:
        raise RowError(
            f"{place}: which column holds the prompts? Its columns: {', '.join(row)}. Name it: --column NAME"
        )
    return usual or others[0]


def _is_of_hub(source: str) -> bool:
    if source.startswith((".", "/", "~")) or source.lower().endswith(TABLE_FILES):
        return False
    try:
        return isinstance(parse_reference(source), HubReference)
    except ValueError:
        return False
