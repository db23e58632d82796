"""What several commands share: reading the recipe option, tables, times, JSON."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lidr.recipe.schema import Recipe


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
    from lidr import load_recipe

    if options.data:
        os.environ["LIDR_DATA"] = str(Path(options.data).resolve())
    return load_recipe(options.recipe, overrides=options.overrides)


def print_json(schema: str, content: Mapping[str, Any]) -> None:
    """One object on standard output, named by its schema."""
    print(json.dumps({"schema": schema, **content}, ensure_ascii=False, indent=1))


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, left: int = 1) -> None:
    """Print aligned columns; the first `left` are flush left, the others flush right."""
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
        print(text, file=sys.stderr, flush=True)


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
