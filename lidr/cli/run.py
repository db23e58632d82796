"""`lidr run RECIPE`: carry out a recipe, then show what became of every pair, and where everything lies."""

from __future__ import annotations

import argparse
import shlex
import time
from typing import TYPE_CHECKING

from lidr import pipeline
from lidr.cli.common import duration, print_json, print_table, read_recipe, recipe_arguments, say
from lidr.errors import NegativeVerdict
from lidr.report import summarise

if TYPE_CHECKING:
    from lidr.pipeline import Plan, PlannedStep
    from lidr.report import Summary


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
        "--allow-unpinned", action="store_true", help="pin an unpinned Hub model to the commit it has now"
    )
    parser.add_argument("--quiet", action="store_true", help="no progress bars")


def main(options: argparse.Namespace) -> int:
    """Run, then print the summary."""
    recipe = read_recipe(options)
    began = time.monotonic()
    verdict: NegativeVerdict | None = None
    try:
        planned = pipeline.run(
            recipe,
            until=options.until,
            rebuild=options.rebuild,
            allow_unpinned=options.allow_unpinned,
            say=say,
            quiet=options.quiet,
        )
    except NegativeVerdict as error:  # shown like any run, then raised again
        verdict, planned = error, pipeline.plan(recipe, until=options.until)
    summary = summarise(planned)
    if options.json:
        print_json("lidr.run/1", {**summary.as_json(), "elapsed_s": round(time.monotonic() - began, 1)})
    else:
        show(planned, summary, time.monotonic() - began)
        _what_next(planned, shlex.join([options.recipe, *(w for o in options.overrides for w in ("--set", o))]))
    if verdict is not None:
        raise verdict
    return 0


def show(planned: Plan, summary: Summary, elapsed_s: float) -> None:
    """Print the account of pairs and the policies."""
    recipe = planned.recipe
    print(f"\n{recipe.name} {recipe.version}: {iterations_of(planned)} in {duration(elapsed_s)}\n")
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
    _show_selection(planned)
    _show_guards(planned)
    _show_scores(planned)


def iterations_of(planned: Plan) -> str:
    """How many iterations there are: at most, where the run may end earlier and has not."""
    count = planned.ending.iteration if planned.ending else len(planned.recipe.iterations)
    may_end = planned.ending is None and any(step.kind.decides is not None for step in planned.steps)
    is_open = may_end and planned.decided != planned.steps
    return f"{'at most ' if is_open else ''}{count} iteration{'' if count == 1 else 's'}"


def _show_selection(planned: Plan) -> None:
    """Print what dropping selects, and which prompts are bound to their language: at most two lines."""
    from lidr.pipeline import DONE
    from lidr.report import selection_lines
    from lidr.store import open_artifact

    done = [step for step in planned.steps if step.state in DONE]
    records = [open_artifact(planned.folder(s)).record for s in done if s.kind.writes.name == "pairs"]
    if said := selection_lines(records):
        print(f"\n{said[0]}", *said[1:], sep="\n")


def _show_guards(planned: Plan) -> None:
    """Print what was measured before training and what the gates found, if the recipe does that."""
    from lidr.pipeline import DONE
    from lidr.report import gate_lines, measurement_tables
    from lidr.store import open_artifact

    done = [step for step in planned.steps if step.state in DONE]
    records = [open_artifact(planned.folder(s)).record for s in done if s.kind.writes.name in ("measures", "verdicts")]
    for table in measurement_tables(records):
        print(f"\n{table.title}")
        print_table(table.columns, table.rows, left=table.left)
        print(*table.remarks, sep="\n")
    if said := gate_lines(records):
        print("\nGates")
        print(*said, sep="\n")


def _show_scores(planned: Plan) -> None:
    """Print what each policy scored, before and after, if the recipe evaluates."""
    from lidr.pipeline import DONE
    from lidr.report import LEGEND, before_after
    from lidr.store import open_artifact

    steps = [step for step in planned.steps if step.kind.writes.name == "scores" and step.state in DONE]
    tables = before_after(open_artifact(planned.folder(step)).record for step in steps)
    for table in tables:
        print(f"\n{table.title}")
        print_table(table.columns, table.rows, left=table.left)
    if tables:
        print(LEGEND)


def _what_next(planned: Plan, recipe_words: str) -> None:
    """Say where everything lies, and the next commands."""
    from lidr.pipeline import KEPT

    folder = planned.version_folder
    pairs, policy = _last(planned, "pairs"), _last(planned, "policy")
    lines = [("store", str(folder))]
    if pairs:
        files = f"{folder}/iter_*/{pairs.name}/data/*.parquet"
        lines += [("pairs", files), ("dropped", f"{folder}/iter_*/*/dropped/*.parquet (each row with its reason)")]
    if policy:
        lines.append(("policy", f"{folder}/{policy.place}/model (loads in transformers and vLLM)"))
    print("\nWhere everything lies")
    print_table(("", ""), lines, left=2)
    print("\nNext")
    steps = [
        (f"lidr plan {recipe_words}", "everything is cached now"),
        (f"lidr report {recipe_words}", "all of it on one page"),
        ("lidr cp quickstart my.yaml", "your own recipe"),
    ]
    print_table(("", ""), steps, left=2)
    release = _last(planned, "release")
    if release and release.state in KEPT:
        from lidr.steps import lines_of

        loading = lines_of(planned.folder(release), f"iter_{release.iteration}", planned.store.root)
        print(f"\nPublished. To load it from there, in a shell:\n\n{loading}")
    elif pairs:
        print(f"python -c \"import polars as pl; print(pl.read_parquet('{files}'))\"")


def _last(planned: Plan, rows: str) -> PlannedStep | None:
    """The last step that writes these rows, of those that were made; for policies that of the run's result."""
    result = planned.result if rows == "policy" else None
    steps = [
        step
        for step in planned.steps
        if step.kind.writes.name == rows and step.state != "skipped" and result in (None, step.iteration)
    ]
    return steps[-1] if steps else None
