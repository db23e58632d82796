"""`lidr validate RECIPE...`: check recipes; every problem at once, with its line. No model and no network is needed."""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lidr.cli.common import print_json, problems_counted, recipe_arguments, say
from lidr.cli.terminal import problem_lines
from lidr.errors import Problem, RecipeError


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    recipe_arguments(parser)
    parser.add_argument(
        "--json-schema", action="store_true", help="print the JSON Schema of recipes, for editors, and check nothing"
    )
    parser.add_argument(
        "--resolved", action="store_true", help="print the whole recipe as it counts: its base and --set merged in"
    )
    parser._actions[1].nargs = "*"  # RECIPE is not needed with --json-schema, and may be given again
    parser._actions[1].help = "recipe files"


def main(options: argparse.Namespace) -> int:
    """Check each recipe, or print the schema."""
    if options.json_schema:
        from lidr.recipe import recipe_json_schema
        from lidr.steps import CHAIN_STEPS

        print(json.dumps(recipe_json_schema(CHAIN_STEPS), indent=1))
        return 0
    if not options.recipe:
        raise RecipeError(["validate: name a recipe file, or give --json-schema"])
    if options.data:
        os.environ["LIDR_DATA"] = str(Path(options.data).resolve())
    found = [_checked(file, options) for file in options.recipe]
    if options.json:
        several = found[0] if len(found) == 1 else {"valid": all(one["valid"] for one in found), "recipes": found}
        print_json("lidr.validate/1", several)
    return 0 if all(one["valid"] for one in found) else 2


def _checked(file: str, options: argparse.Namespace) -> dict[str, Any]:
    """One recipe; printed as text unless JSON is asked for."""
    from lidr.pipeline import check_recipe, load_recipe

    try:
        recipe = load_recipe(file, overrides=options.overrides)
        checked = check_recipe(recipe, options.overrides)
    except RecipeError as error:
        return _told(file, {"valid": False}, error.found, (), options)
    steps = [step.name for step in recipe.chain]
    facts = {
        "valid": not checked.problems,
        "recipe": recipe.name,
        "version": recipe.version,
        "iterations": len(recipe.iterations),
        "chain": steps,
        "resolved": _resolved(file, options) if options.resolved else None,
    }
    return _told(file, facts, checked.problems, checked.notes, options)


def _told(
    file: str,
    facts: dict[str, Any],
    problems: tuple[Problem, ...],
    notes: tuple[Problem, ...],
    options: argparse.Namespace,
) -> dict[str, Any]:
    if not options.json:
        say(*problem_lines(problems), is_clean=True)
        for note in notes:
            say(f"note: {note}")
        if problems:
            say(problems_counted(file, len(problems)))
        elif options.resolved:
            print(facts["resolved"], end="")
        else:
            chain = " -> ".join(facts["chain"])
            print(f"{file}: valid. {facts['recipe']} {facts['version']}, {facts['iterations']} x {chain}")
        sys.stdout.flush()
    return {
        "file": file,
        **facts,
        "problems": [asdict(problem) for problem in problems],
        "notes": [asdict(note) for note in notes],
    }


def _resolved(file: str, options: argparse.Namespace) -> str:
    from lidr.recipe import resolved_text

    return resolved_text(Path(file), options.overrides)
