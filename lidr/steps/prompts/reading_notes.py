"""What a person should know of how a file of prompts is read: nothing is wrong, and something may be unexpected."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lidr.recipe import PromptsConfig
from lidr.steps.prompts.prompt_table import IDS, files_of, is_blank_row
from lidr.tables import DELIMITERS, has_semicolons, kind_of, placed_rows

_ID = re.compile(r"(?:^|[\W_])id(?:$|[\W_])", re.IGNORECASE)


def own_id_column(columns: Sequence[str], config: PromptsConfig) -> str | None:
    """A column that seems to name the rows and is not used, because it is not called id; None where there is none.

    >>> own_id_column(["Frage_ID", "en", "de"], PromptsConfig(source="x.csv", license="cc0-1.0"))
    'Frage_ID'
    """
    is_said = config.ids is not None or (config.columns is not None and config.columns.id is not None)
    if is_said or any(name in columns for name in IDS):
        return None
    return next((name for name in columns if _ID.search(name)), None)


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
    row: Mapping[str, Any] = next((row for path in files_of(source, codes) for _, row in placed_rows(path)), {})
    if (column := own_id_column(list(row), config)) is not None:
        said.append(
            f"prompts.source: ids are made from the text, and the column {column} is not used; if it names the rows, "
            f"write columns: {{id: {column}}}"
        )
    return said
