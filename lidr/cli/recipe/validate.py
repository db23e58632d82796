"""`lidr validate RECIPE`: check a recipe; every problem at once, with file, line and column."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from lidr.cli.common import print_json, read_recipe, recipe_arguments
from lidr.errors import RecipeError


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    recipe_arguments(parser)
    parser.add_argument(
        "--json-schema", action="store_true", help="print the JSON Schema of recipes, for editors, and check nothing"
    )
    parser.add_argument(
        "--resolved", action="store_true", help="print the whole recipe as it counts: its base and --set merged in"
    )
    parser._actions[1].nargs = "?"  # RECIPE is not needed with --json-schema


def main(options: argparse.Namespace) -> int:
    """Read the recipe, or print the schema."""
    if options.json_schema:
        from lidr.recipe import recipe_json_schema
        from lidr.steps import CHAIN_STEPS

        print(json.dumps(recipe_json_schema(CHAIN_STEPS), indent=1))
        return 0
    if options.recipe is None:
        raise RecipeError(["validate: name a recipe file, or give --json-schema"])
    recipe = read_recipe(options)
    steps = [step.name for step in recipe.chain]
    resolved = _resolved(options) if options.resolved else None
    if options.json:
        summary = {"recipe": recipe.name, "version": recipe.version, "iterations": len(recipe.iterations)}
        print_json("lidr.validate/1", {**summary, "chain": steps, "valid": True, "resolved": resolved})
    elif resolved is not None:
        print(resolved, end="")
    else:
        print(
            f"{options.recipe}: valid. {recipe.name} {recipe.version}, {len(recipe.iterations)} x {' -> '.join(steps)}"
        )
    return 0


def _resolved(options: argparse.Namespace) -> str:
    from lidr.recipe import resolved_text

    return resolved_text(Path(options.recipe), options.overrides)
