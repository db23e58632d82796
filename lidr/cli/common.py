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

from lidr.cli.terminal import STATES, coloured, plain, printable
from lidr.errors import RecipeError
from lidr.pipeline import SAID
from lidr.secrecy import without_user

if TYPE_CHECKING:
    from lidr.recipe import Recipe


def set_argument(parser: argparse.ArgumentParser, *, example: str) -> None:
    """The option that replaces values of a recipe."""
    parser.add_argument(
        "--set",
        dest="overrides",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help=f"replace a value of the recipe: --set {example} (may be given again)",
    )


def recipe_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of every command that reads a recipe."""
    parser.add_argument("recipe", metavar="RECIPE", help="a recipe file")
    set_argument(parser, example="chain.train.epochs=2")
    parser.add_argument("--data", metavar="FOLDER", help="where $LIDR_DATA points for this command")
    store_argument(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object on standard output")


def store_argument(parser: argparse._ActionsContainer) -> None:
    """Where the artifacts are, for this command."""
    parser.add_argument(
        "--store",
        metavar="FOLDER",
        help="the store; default LIDR_STORE, else what runtime.store names (runs), looked for in the working folder, "
        "then beside the recipe",
    )


def accept_argument(parser: argparse.ArgumentParser) -> None:
    """What says whose answers are in the store that were made before lidr recorded servers' addresses."""
    parser.add_argument(
        "--accept-unknown-server",
        action="store_true",
        help="answers in the store without their server's address are of this recipe's server",
    )


def read_recipe(options: argparse.Namespace) -> Recipe:
    """The recipe of the options."""
    from lidr.pipeline import load_recipe

    if options.data:
        os.environ["LIDR_DATA"] = str(Path(options.data).resolve())
    return load_recipe(options.recipe, overrides=options.overrides)


def kept_recipe(folder: Path) -> Recipe | None:
    """The recipe that a run keeps in its version folder; None where it has none."""
    from lidr.pipeline import load_recipe

    kept = folder / "recipe.yaml"
    same = [f"name={folder.parent.name}", f"version={folder.name}"]  # as --set may have named them
    return load_recipe(kept, overrides=same, alone=True) if kept.is_file() else None


def recipe_words(options: argparse.Namespace) -> list[str]:
    """The recipe with all that was given for it, for a command that is advised."""
    words = [options.recipe, *(word for one in options.overrides for word in ("--set", one))]
    return words + [
        word for name in ("data", "store") if (value := getattr(options, name)) for word in (f"--{name}", value)
    ]


def refuse_wrong(recipe: Recipe, options: argparse.Namespace, outcome: str, *, runs_here: bool = False) -> None:
    """Refuse what `lidr validate` refuses, in the same words.

    Args:
        recipe: as the options name it.
        options: of the command.
        outcome: what that means for the command.
        runs_here: whether what this machine lacks is refused, too.

    Raises:
        RecipeError: every problem, then how many there are and the outcome.
    """
    from lidr.pipeline import check_recipe

    if problems := check_recipe(recipe, options.overrides, runs_here=runs_here).problems:
        raise RecipeError([*problems, f"{problems_counted(options.recipe, len(problems))}: {outcome}"])


def problems_counted(file: str, count: int) -> str:
    """How many problems a recipe has.

    >>> problems_counted("my.yaml", 1), problems_counted("my.yaml", 2)
    ('my.yaml: 1 problem', 'my.yaml: 2 problems')
    """
    return f"{file}: {count} problem{'' if count == 1 else 's'}"


def print_json(schema: str, content: Mapping[str, Any]) -> None:
    """One object on standard output, named by its schema."""
    print(json.dumps({"schema": schema, **content}, ensure_ascii=False, indent=1))


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, left: int = 1, states: int = -1) -> None:
    """Print aligned columns; the first `left` are flush left, the others flush right; in `states` stand states."""
    rows = [[printable(cell).replace("\n", " ") for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in [columns, *rows]) for i in range(len(columns))]
    heads = [columns] if any(columns) else []
    for number, row in enumerate([*heads, *rows]):
        cells = [
            cell.ljust(width) if i < left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        if 0 <= states < len(cells) and number >= len(heads):
            cells[states] = coloured(cells[states], STATES.get(row[states]), sys.stdout)
        line = "  ".join(cells).rstrip()
        print(coloured(line, "bold", sys.stdout) if number < len(heads) else line)


def say(*lines: str, is_clean: bool = False) -> None:
    """Tell the user how it goes, on standard error and in the run's log; when nobody reads there any more, go on.

    Args:
        lines: what to say.
        is_clean: it holds colours of ours, and nothing of others that moves a cursor.
    """
    for text in lines:
        SAID.info("%s", plain(text))
        with contextlib.suppress(BrokenPipeError):
            shown = text if is_clean else printable(text)
            print(
                coloured(shown, "yellow" if shown.startswith("warning:") else None, sys.stderr),
                file=sys.stderr,
                flush=True,
            )


def duration(seconds: float | None) -> str:
    """Write a time as people do.

    >>> duration(7.4), duration(192), duration(8000), duration(0.2), duration(None)
    ('7 s', '3 min 12 s', '2 h 13 min', 'under 1 s', 'no rate yet')
    """
    if seconds is None:
        return "no rate yet"
    if seconds < 0.5:
        return "under 1 s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def size_said(size: int) -> str:
    """Bytes as people say them.

    >>> size_said(1_234_567), size_said(12)
    ('1.2 MB', '12 B')
    """
    for unit, scale in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= scale:
            return f"{size / scale:.1f} {unit}"
    return f"{size} B"


def other_hub(endpoint: str) -> None:
    """Ask another Hub than that of the environment; for before anything of Hugging Face is imported.

    The client reads its endpoint once; caches are keyed by name, whichever Hub a file came from.
    """
    endpoint = without_user(endpoint)
    if endpoint != os.environ.get("HF_ENDPOINT", "").rstrip("/"):
        os.environ["HF_ENDPOINT"] = endpoint
        os.environ["HF_HUB_DISABLE_XET"] = "1"
        os.environ.pop("HF_TOKEN", None)  # belongs to the other one
        os.environ["HF_HUB_DISABLE_IMPLICIT_TOKEN"] = "1"  # and so does the one that `hf auth login` has saved
