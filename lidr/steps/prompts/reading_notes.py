"""What a person should know of how a file of prompts is read: nothing is wrong, and something may be unexpected."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path

from lidr.recipe import PromptColumns, PromptsConfig
from lidr.steps.prompts.prompt_rows import IDS, LANGUAGE, files_of, is_blank_row
from lidr.tables import DELIMITERS, has_semicolons, is_visible, kind_of, placed_rows

_ID = re.compile(r"(?i:^key$|(?:^|[\W_])(?:[a-z]?id|uuid|guid|idx)(?:$|[\W_]))|(?<=[a-z])I[dD]$")


def like_ids(columns: Sequence[str]) -> list[str]:
    """The columns that are named as those that name rows.

    >>> like_ids(["Frage_ID", "qid", "itemId", "idx", "en", "valid", "answer_key"])
    ['Frage_ID', 'qid', 'itemId', 'idx']
    """
    return [name for name in columns if _ID.search(name)]


def own_id_column(source: Path, codes: Sequence[str], config: PromptsConfig) -> str | None:
    """A column that names the rows and is not used, because it is not called id: another value in each row, for each
    language where a row has one of them; None where there is none.
    """
    files = files_of(source, codes)
    columns = list(next((row for path in files for _, row in placed_rows(path)), {}))
    is_said = config.ids is not None or (config.columns is not None and config.columns.id is not None)
    if is_said or any(name in columns for name in IDS):
        return None
    language = (config.columns.language if config.columns else None) or LANGUAGE
    return next((name for name in like_ids(columns) if all(_names_rows(path, name, language) for path in files)), None)


def _names_rows(path: Path, column: str, language: str) -> bool:
    """Whether a column has a value in each row that is not blank, and none twice."""
    seen: set[tuple[str, str]] = set()
    for _, row in placed_rows(path):
        if is_blank_row(row, PromptColumns(id=column), None):
            continue
        value = row.get(column)
        key = (str(value), str(row.get(language)))
        if not isinstance(value, str | int) or isinstance(value, bool) or not is_visible(str(value)) or key in seen:
            return False
        seen.add(key)
    return True


def column_with(source: Path, codes: Sequence[str], ids: Collection[str]) -> str | None:
    """The column that most often holds one of these ids; None where none does."""
    wanted, held = set(ids), Counter[str]()
    for _, row in placed_rows(files_of(source, codes)[0]):
        held.update(name for name, value in row.items() if isinstance(value, str | int) and str(value) in wanted)
    return max(held, key=lambda name: held[name], default=None)


def blank_rows(source: Path, codes: Sequence[str], config: PromptsConfig) -> int:
    """How many rows are left out because all their fields are blank, as spreadsheets leave them."""
    files = [path for path in files_of(source, codes) if kind_of(path) in DELIMITERS]
    return sum(is_blank_row(row, config.columns, config.ids) for path in files for _, row in placed_rows(path))


def reading_notes(source: Path, codes: Sequence[str], config: PromptsConfig) -> list[str]:
    """Sentences about files that can be read.

    Raises:
        RowError: they cannot be.
    """
    said = []
    for path in files_of(source, codes):
        if kind_of(path) in DELIMITERS and has_semicolons(path):
            said.append(f"prompts.source: {path} is read as separated by semicolons")
    if blank := blank_rows(source, codes, config):
        said.append(f"prompts.source: {blank} blank row{'' if blank == 1 else 's'} left out")
    if (column := own_id_column(source, codes, config)) is not None:
        said.append(
            f"prompts.source: ids are made from the text, and the column {column} is not used; if it names the rows, "
            f"write columns: {{id: {column}}}"
        )
    return said
