"""The page of a run as a file: beside the run's records, or where it is asked for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lidr.errors import LidrError
from lidr.pipeline import load_recipe
from lidr.report.html.html_page import page
from lidr.report.run_state import run_state_of
from lidr.secrecy import clean_data

if TYPE_CHECKING:
    from lidr.recipe import Recipe
    from lidr.report.run_state import RunState

FILE = "report.html"


def report(recipe: Recipe | Path | str, out: Path | str | None = None) -> Path:
    """Write one HTML page about a run, finished or not, from its records alone.

    Args:
        recipe: from `lidr.load_recipe`, or the recipe's file.
        out: the file; default `report.html` in the run's folder.

    Returns:
        The file.

    Raises:
        StoreError: the store holds nothing of this recipe's version, or a record is damaged.
    """
    found = load_recipe(recipe) if isinstance(recipe, str | Path) else recipe
    return write_page(run_state_of(found), Path(out) if out is not None else None)


def write_page(run: RunState, out: Path | None = None, failure: str | None = None) -> Path:
    """Write the page of a run that was read.

    Args:
        failure: why the run could not go on.
    """
    path = out or run.folder / FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(clean_data(page(run, failure)), encoding="utf-8")
    return path


def report_of_end(recipe: Recipe, failure: str | None = None) -> Path | None:
    """The page at the end of a run, whatever its end: None where nothing is made yet, or the page cannot be written.

    The run's own outcome must not be lost to its report, so nothing is raised.
    """
    try:
        return write_page(run_state_of(recipe), failure=failure)
    except (LidrError, OSError):
        return None
