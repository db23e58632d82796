"""What several commands share: reading the recipe option, tables, times, JSON."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lidr.recipe import Recipe

_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Not tab and newline, and not the joiners that scripts need."""


def recipe_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of every command that reads a recipe."""
    parser.add_argument("recipe", metavar="RECIPE", help="a recipe file")
    parser.add_argument(
        "--set",
        dest="overrides",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="replace a value of the recipe: --set chain.train.epochs=2 (may be given again)",
    )
    parser.add_argument("--data", metavar="FOLDER", help="where $LIDR_DATA points for this command")
    parser.add_argument("--json", action="store_true", help="print one JSON object on standard output")


def read_recipe(options: argparse.Namespace) -> Recipe:
    """The recipe of the options."""
    from lidr.pipeline import load_recipe

    if options.data:
        os.environ["LIDR_DATA"] = str(Path(options.data).resolve())
    return load_recipe(options.recipe, overrides=options.overrides)


def print_json(schema: str, content: Mapping[str, Any]) -> None:
    """One object on standard output, named by its schema."""
    print(json.dumps({"schema": schema, **content}, ensure_ascii=False, indent=1))


def printable(text: str) -> str:
    r"""A text of others for a terminal: what would move its cursor, recolour it or turn a line round is written out.

    >>> print(printable("\x1b[2J gone \u202e"))
    \x1b[2J gone \u202e
    """
    return _CONTROLS.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, left: int = 1) -> None:
    """Print aligned columns; the first `left` are flush left, the others flush right."""
    rows = [[printable(cell).replace("\n", " ") for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in [columns, *rows]) for i in range(len(columns))]
    for row in [columns, *rows] if any(columns) else rows:
        cells = [
            cell.ljust(width) if i < left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        print("  ".join(cells).rstrip())


def say(text: str) -> None:
    """Tell the user how it goes, on standard error; when nobody reads there any more, go on."""
    with contextlib.suppress(BrokenPipeError):
        print(printable(text), file=sys.stderr, flush=True)


def duration(seconds: float | None) -> str:
    """Write a time as people do.

    >>> duration(7.4), duration(192), duration(8000), duration(None)
    ('7 s', '3 min 12 s', '2 h 13 min', 'no rate yet')
    """
    if seconds is None:
        return "no rate yet"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def other_hub(endpoint: str) -> None:
    """Ask another Hub than that of the environment; for before anything of Hugging Face is imported.

    The client reads its endpoint once; caches are keyed by name, whichever Hub a file came from.
    """
    if endpoint != os.environ.get("HF_ENDPOINT", "").rstrip("/"):
        os.environ["HF_ENDPOINT"] = endpoint
        os.environ["HF_HUB_DISABLE_XET"] = "1"
        os.environ.pop("HF_TOKEN", None)  # belongs to the other one
        os.environ["HF_HUB_DISABLE_IMPLICIT_TOKEN"] = "1"  # and so does the one that `hf auth login` has saved
