"""`lidr cp NAME FILE`: copy a shipped recipe, to start your own from; one that has a base is written out whole."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Sequence
from pathlib import Path

from lidr.cli.common import print_json, say
from lidr.cli.recipe.ls import shipped
from lidr.errors import RecipeError


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("name", metavar="NAME", help="a recipe of `lidr ls`")
    parser.add_argument("--json", action="store_true", help="print one JSON object on standard output")
    parser.add_argument("file", metavar="FILE", help="where to put the copy; an existing file is not overwritten")


def main(options: argparse.Namespace) -> int:
    """Write the copy, which stands alone."""
    from lidr.recipe import read_whole

    recipes, target = shipped(), Path(options.file)
    if options.name not in recipes:
        near = " or ".join(f'"{name}"' for name in _nearest(options.name, list(recipes)))
        hint = f"; did you mean {near}?" if near else ";"
        raise RecipeError([f'no shipped recipe "{options.name}"{hint} ({", ".join(recipes)})'])
    if target.exists():
        raise RecipeError([f"{target} exists; give another name, or remove it first"])
    text = read_whole(recipes[options.name]).text
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="utf-8")
    if options.json:
        print_json("lidr.cp/1", {"recipe": options.name, "file": str(target)})
    say(f"{target}: a copy of {options.name}. Change its name, then: lidr plan {target}")
    return 0


def _nearest(given: str, names: Sequence[str]) -> list[str]:
    """The recipes that were probably meant: by the last part of their name, else by the whole of it.

    >>> _nearest("croco", ["quickstart", "methods/croco"]), _nearest("quikstart", ["quickstart", "methods/croco"])
    (['methods/croco'], ['quickstart'])
    """
    name = given.lower().removesuffix(".yaml").removeprefix("recipes/")
    parts = {one: one.rpartition("/")[2] for one in names}
    if same := [one for one in names if name in (one, parts[one])]:
        return same
    near = difflib.get_close_matches(name, [*names, *parts.values()], n=1)
    return [one for one in names if {one, parts[one]} & set(near)]
