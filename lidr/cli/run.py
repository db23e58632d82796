"""`lidr run RECIPE`: carry out a recipe, then show what became of every pair, and where everything lies."""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING

from lidr.cli.common import duration, print_json, print_table, read_recipe, recipe_arguments, say

if TYPE_CHECKING:
    from lidr.pipeline import Plan
    from lidr.report.summary import Summary


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    recipe_arguments(parser)
    parser.add_argument("--until", metavar="STEP", help="stop each iteration after this step")
    parser.add_argument(
        "--rebuild",
        metavar="STEP",
        action="append",
        default=[],
        help="make this step again, and all that follows from it: pair, or iter_2/pair (may be given again)",
    )
    parser.add_argument(
        "--allow-unpinned", action="store_true", help="run although a Hub model is not pinned to a commit"
    )
    parser.add_argument("--quiet", action="store_true", help="no progress bars")


def main(options: argparse.Namespace) -> int:
    """Run, then print the summary."""
    from lidr import pipeline
    from lidr.report.summary import summarise

    recipe, folder = read_recipe(options)
    began = time.monotonic()
    planned = pipeline.run(
        recipe,
        recipe_folder=folder,
        until=options.until,
        rebuild=options.rebuild,
        allow_unpinned=options.allow_unpinned,
        say=say,
        quiet=options.quiet,
    )
    summary = summarise(planned)
    if options.json:
        print_json("lidr.run/1", {**summary.as_json(), "elapsed_s": round(time.monotonic() - began, 1)})
    else:
        show(planned, summary, time.monotonic() - began)
        _what_next(planned, options.recipe)
    return 0


def show(planned: Plan, summary: Summary, elapsed_s: float) -> None:
    """Print the account of pairs and the policies."""
    recipe = planned.recipe
    print(f"\n{recipe.name} {recipe.version}: {len(recipe.iterations)} iterations in {duration(elapsed_s)}\n")
    if summary.account:
        print("Pairs by language and iteration (the dominant and the non-dominant pair of each prompt)")
        columns = ("", *(f"iter {c.iteration} {c.language}" for c in summary.columns))
        print_table(columns, [(row.label, *(f"{count:,}" for count in row.counts)) for row in summary.account])
        print()
    if summary.policies:
        print("Policies")
        print_table(
            ("policy", "weights", "pairs", "loss", "dpo", "nll", "margin", "accuracy"),
            [policy.cells() for policy in summary.policies],
            left=2,
        )
    if summary.groups:
        print("\nAfter training, by language and kind (margin in nats; accuracy: share with margin above 0)")
        print_table(("policy", "language", "kind", "pairs", "margin", "accuracy"), summary.groups, left=3)


def _what_next(planned: Plan, recipe_file: str) -> None:
    folder = planned.version_folder
    last = len(planned.recipe.iterations)
    print(f"\nEverything lies in {folder}")
    print(f"  pairs     {folder}/iter_*/{_last_writer(planned, 'pairs')}/data/*.parquet")
    print(f"  dropped   {folder}/iter_*/*/dropped/*.parquet, each row with its reason")
    if any(step.kind.writes.name == "policy" for step in planned.steps):
        print(
            f"  policy    {folder}/iter_{last}/{_last_writer(planned, 'policy')}/model (loads in transformers and vLLM)"
        )
    print("\nNext")
    print(f"  lidr plan {recipe_file}                                    # everything cached")
    print("  lidr cp quickstart my.yaml                                # your own recipe")
    print(
        f"  python -c \"import polars as pl; print(pl.read_parquet('{folder}/iter_1/"
        f"{_last_writer(planned, 'pairs')}/data/*.parquet'))\""
    )


def _last_writer(planned: Plan, rows: str) -> str:
    names = [step.name for step in planned.steps if step.kind.writes.name == rows]
    return names[-1] if names else "-"
