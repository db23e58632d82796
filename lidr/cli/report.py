"""`lidr report RECIPE`: one HTML page about a run, finished or not, from its records alone; and the short of it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from lidr.cli.common import print_json, print_table, read_recipe, recipe_arguments, say

if TYPE_CHECKING:
    from lidr.report import RunState


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    recipe_arguments(parser)
    parser.add_argument("--out", type=Path, metavar="PATH", help="the page; default report.html in the run's folder")


def main(options: argparse.Namespace) -> int:
    """Write the page, then print the short of it."""
    from lidr.report import run_state_of, write_page

    run = run_state_of(read_recipe(options))
    out = write_page(run, options.out)
    if options.json:
        from lidr.report import as_json

        print_json("lidr.report/1", {**as_json(run), "page": str(out)})
    else:
        show(run)
    say(f"page: {out}")
    return 0


def show(run: RunState) -> None:
    """Print how far it is, where the slots went, the scores and what the gates found."""
    from lidr.report import guard_lines, head_lines, score_tables

    print(*head_lines(run), sep="\n")
    for table in score_tables(run):
        print(f"\n{table.title}")
        print_table(table.columns, table.rows, left=table.left)
    if said := guard_lines(run):
        print("\nGates")
        print(*said, sep="\n")
