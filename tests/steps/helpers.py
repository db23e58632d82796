"""Run one step of the scripted world and look at its rows."""

from __future__ import annotations

from pathlib import Path

import polars as pl

import lidr
from lidr.store.artifact import open_artifact


def rows_of(recipe_file: Path, place: str, *overrides: str, part: str = "data") -> pl.DataFrame:
    """Run the recipe up to the step of `place`, and read its rows."""
    recipe = lidr.load_recipe(recipe_file, overrides=["iterations=[{prompts: '0:4'}]", *overrides])
    planned = lidr.run(recipe, until=place.split("/")[1])
    folder = planned.version_folder / place
    if part == "dropped" and not (folder / part).exists():
        return pl.DataFrame()
    return pl.DataFrame(open_artifact(folder).read(part))


def record_of(recipe_file: Path, place: str, *overrides: str):
    """The record of a step that has run."""
    recipe = lidr.load_recipe(recipe_file, overrides=["iterations=[{prompts: '0:4'}]", *overrides])
    return open_artifact(lidr.plan(recipe).version_folder / place).record
