"""recipe.lock.json: the commits that a recipe's Hub references were resolved to, beside the run's artifacts.

{"schema": 1, "models": {"org/name": "5f0b02c75b57c5855da9ae460ce51323ea669d8a", "datasets/org/name": "..."}}
"""

from __future__ import annotations

import json
from pathlib import Path

from lidr.errors import StoreError
from lidr.store.record import write_json

LOCK_FILE = "recipe.lock.json"


def read_lock(version_folder: Path) -> dict[str, str]:
    """Repository -> commit, 40 hex digits; empty when nothing is locked.

    Raises:
        StoreError: the file is damaged, or from a newer lidr.
    """
    path = version_folder / LOCK_FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise StoreError(f"{path}: damaged, no JSON; remove it and run `lidr lock RECIPE` again") from None
    if content.get("schema") != 1:
        raise StoreError(f"{path}: schema {content.get('schema')}, this lidr reads 1: update lidr")
    return dict(content.get("models", {}))


def write_lock(version_folder: Path, models: dict[str, str]) -> Path:
    """Write the commits; the file is there whole or not at all."""
    version_folder.mkdir(parents=True, exist_ok=True)
    write_json(version_folder / LOCK_FILE, {"schema": 1, "models": dict(sorted(models.items()))})
    return version_folder / LOCK_FILE
