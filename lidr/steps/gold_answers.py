"""Gold answers of prompts, where there are: a folder with LANG.jsonl, as prompts have it.

{"id": "p1", "response": "18"}        `final_answer` and `answer` are other names; of a worked solution the number after
                                      the last "####" counts, as GSM8K writes it
"""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

from lidr.errors import PlanError, RowError
from lidr.evals import mgsm
from lidr.recipe import Recipe
from lidr.resources import resolve_source
from lidr.steps.step_kind import Surroundings, Unresolved

_NAMES = ("final_answer", "answer", "response")


def gold_file(folder: str, around: Surroundings, where: str = "measure.gold") -> Path:
    """The file of gold answers: that of the dominant language, since a number is the same in all. `where` is the
    setting that names the folder.

    Raises:
        Unresolved: it lies in $LIDR_DATA, which is not set.
        PlanError: it is not there.
    """
    path = resolve_source(folder, around.recipe_folder)
    if path is None:
        raise Unresolved(f"{where}: {folder}: set LIDR_DATA to the folder that holds it, or give --data FOLDER")
    file = path / f"{around.recipe.languages.dominant}.jsonl"
    if not file.is_file():
        raise PlanError(f"{where}: no file {file}; give a folder with LANG.jsonl of lines {{id, response}}")
    return file


def read_gold(file: Path, recipe: Recipe) -> dict[str, Decimal]:
    """Prompt id -> the number that is right.

    Raises:
        RowError: a line is no answer, has no id or another line's, or its answer is no number; says file:line. Or the
            file is not UTF-8.
    """
    found: dict[str, Decimal] = {}
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise RowError(f"{file}: not UTF-8 at byte {error.start}; save the file as UTF-8") from None
    # split, not splitlines: U+2028 and U+0085 may stand inside a JSON string
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            prompt_id, answer = _answer_of(json.loads(line))
        except (ValueError, StopIteration, AttributeError, RecursionError) as error:
            why = str(error) or f"it has none of {', '.join(_NAMES)}"
            raise RowError(f"{file}:{number}: no gold answer: {why}; write {{id, response}} with a number") from None
        if found.setdefault(prompt_id, answer) != answer:
            raise RowError(f"{file}:{number}: {prompt_id} has another gold answer already: {found[prompt_id]}")
    code = recipe.languages.dominant
    if recipe.prompts and recipe.prompts.id_prefix == "language" and all(name.startswith(code) for name in found):
        found = {name.removeprefix(code): value for name, value in found.items()}
    return found


def _answer_of(row: dict[str, Any]) -> tuple[str, Decimal]:
    answer = next(str(row[name]) for name in _NAMES if row.get(name) is not None)
    prompt_id = row.get("id", row.get("prompt_id"))
    if prompt_id is None:
        raise ValueError("it has no id, so nobody knows which prompt it answers")
    return str(prompt_id), mgsm.gold_number(answer.rsplit("####", 1)[-1])
