"""The only place that finds the files that ship beside the code: recipes/, evals/, hub_cards/.

In a checkout they stand beside the package; in an installed wheel under `lidr/_share/`.
"""

from __future__ import annotations

import difflib
import os
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def shared(folder: str) -> Path:
    """Return the folder `recipes`, `evals` or `hub_cards`, wherever this lidr keeps it."""
    installed = _PACKAGE / "_share" / folder
    return installed if installed.is_dir() else _PACKAGE.parent / folder


def near_file(path: Path) -> str:
    """A file or folder beside one that is not there, which may have been meant; empty where none is like it."""
    there = [one.name for one in path.parent.iterdir()] if path.parent.is_dir() else []
    near = difflib.get_close_matches(path.name, there, n=1)
    return f"; did you mean {path.parent / near[0]}?" if near else ""


def is_shipped(path: Path) -> bool:
    """Whether a file or folder came with lidr, so that everybody who has lidr has it."""
    return any(path.resolve().is_relative_to(shared(folder).resolve()) for folder in ("recipes", "evals", "hub_cards"))


def resolve_source(text: str, recipe_folder: Path) -> Path | None:
    """Find a file or folder that a recipe names, or None where `$LIDR_DATA` is named and not set.

    Looked for in this order: absolute, the working folder, the recipe's folder, the shipped folders. `$LIDR_DATA` at
    the start stands for that variable's value; no other variable is read.
    """
    if text.startswith("$LIDR_DATA"):
        data = os.environ.get("LIDR_DATA")
        return Path(data + text.removeprefix("$LIDR_DATA")) if data else None
    path = Path(text).expanduser()
    if path.is_absolute():
        return path
    for base in (Path(), recipe_folder, _PACKAGE / "_share", _PACKAGE.parent):
        if (base / path).exists():
            return base / path
    return path
