"""Translations that somebody else made: JSON lines, one translation each, matched by id and direction.

    {"prompt_id": "bees-1", "source": "en", "target": "es", "text": "Las abejas hacen miel.", "source_text": "Bees ..."}

`source_text`, where given, must be the answer that the policy gave in this run: a translation of another answer would
make a pair of texts that have nothing to do with each other.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lidr.errors import PlanError, RowError
from lidr.resources import resolve_source
from lidr.steps.step_kind import Unresolved

_FIELDS = ("prompt_id", "source", "target", "text")

Key = tuple[str, str, str]
"""Prompt, source, target."""


@dataclass(frozen=True)
class GivenTranslation:
    """One line of a file of translations."""

    text: str
    source_text: str | None
    place: str


def translation_files(source: str, recipe_folder: Path, where: str) -> list[Path]:
    """The JSON-lines files that a recipe names in the setting `where`, in order of their names.

    Raises:
        Unresolved: they lie in LIDR_DATA, which is not set.
        PlanError: there are none.
    """
    path = resolve_source(source, recipe_folder)
    if path is None:
        raise Unresolved(f"{where}: {source}: set LIDR_DATA to the folder that holds them, or give --data FOLDER")
    files = sorted(path.glob("*.jsonl")) if path.is_dir() else [path] if path.is_file() else []
    if not files:
        raise PlanError(
            f"{where}: no translations at {path}; give a .jsonl file, or a folder of them, with "
            f"{', '.join(_FIELDS)} on each line"
        )
    return files


def read_translations(files: list[Path]) -> dict[Key, GivenTranslation]:
    """Read all files.

    Raises:
        RowError: a line is no JSON object, lacks a field, or stands twice; the message says file:line.
    """
    found: dict[Key, GivenTranslation] = {}
    for path in files:
        for place, row in _rows(path):
            prompt_id, source, target, text = (_field(place, row, name) for name in _FIELDS)
            key = (prompt_id, source, target)
            if key in found:
                raise RowError(f"{place}: {prompt_id} {source}->{target} stands already at {found[key].place}")
            source_text = _field(place, row, "source_text") if row.get("source_text") is not None else None
            found[key] = GivenTranslation(text, source_text, place)
    return found


def _rows(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise RowError(f"{path}: not UTF-8 at byte {error.start}; save the file as UTF-8") from None
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise RowError(f"{path}:{number}: not JSON: {error}") from None
        if not isinstance(row, dict):
            raise RowError(f"{path}:{number}: expected an object with {', '.join(_FIELDS)}")
        yield f"{path}:{number}", row


def _field(place: str, row: Mapping[str, Any], name: str) -> str:
    value = row.get(name)
    if not isinstance(value, str):
        found = ", ".join(row) or "no fields"
        raise RowError(f'{place}: field "{name}" must be text; a translation has {", ".join(_FIELDS)}; found: {found}')
    return value
