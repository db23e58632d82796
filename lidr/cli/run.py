"""`lidr run RECIPE`: carry out a recipe, then show what became of every pair, and where everything lies."""

from __future__ import annotations

import argparse
import contextlib
import shlex
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import lidr.report as report
from lidr import analysis, pipeline, store
from lidr.cli.common import (
    accept_argument,
    duration,
    print_json,
    print_table,
    read_recipe,
    recipe_arguments,
    recipe_words,
    refuse_wrong,
    say,
)
from lidr.cli.terminal import printable
from lidr.errors import LidrError, NegativeVerdict
from lidr.resources import shared

if TYPE_CHECKING:
    from pathlib import Path

    from lidr.pipeline import Plan, PlannedStep
    from lidr.recipe import Recipe
    from lidr.report import Summary
    from lidr.store import Record


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    recipe_arguments(parser)
    parser.add_argument(
        "--until", metavar="STEP", help="stop each iteration after this step, or the run after one, as iter_1/pair"
    )
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
    parser.add_argument(
        "--fresh", action="store_true", help="make everything, also what the store has of another version"
    )
    accept_argument(parser)
    parser.add_argument("--quiet", action="store_true", help="no progress bars")


def main(options: argparse.Namespace) -> int:
    """Run, then print the summary."""
    recipe = read_recipe(options)
    refuse_wrong(recipe, options, "nothing was run", runs_here=True)
    folder = store.Store(store.store_root(recipe.runtime.store, recipe.folder)).version_folder(
        recipe.name, recipe.version
    )
    with pipeline.kept_in(folder, command=shlex.join(["lidr", "run", *recipe_words(options)])):
        return _run(recipe, options)


def _run(recipe: Recipe, options: argparse.Namespace) -> int:
    began = time.monotonic()
    verdict: NegativeVerdict | None = None
    accounts = _Accounts()
    try:
        planned = pipeline.run(
            recipe,
            until=options.until,
            rebuild=options.rebuild,
            allow_unpinned=options.allow_unpinned,
            fresh=options.fresh,
            accept_unknown_server=options.accept_unknown_server,
            say=say,
            quiet=options.quiet,
            on_step=accounts,
        )
    except NegativeVerdict as error:  # shown like any run, then raised again
        verdict, planned = error, pipeline.plan(recipe, until=options.until)
    except (Exception, KeyboardInterrupt) as error:
        accounts.rest()
        if not accounts.has_begun:  # what lies in the store is of an earlier run
            raise
        if page := report.report_of_end(recipe, str(error) or "interrupted"):
            say(f"report so far: {page}")
        raise
    page = report.report_of_end(recipe)
    summary = report.summarise(planned)
    if options.json:
        print_json("lidr.run/1", {**summary.as_json(), "elapsed_s": round(time.monotonic() - began, 1),
                                   "report": str(page)})  # fmt: skip
    else:
        show(planned, summary, time.monotonic() - began, until=options.until)
        _what_next(planned, shlex.join(recipe_words(options)), page)
    if verdict is not None:
        raise verdict
    return 0


class _Accounts:
    """Tells what became of each iteration's slots when its last pairs are there; on a failure, of what there is."""

    def __init__(self) -> None:
        self._told: set[int] = set()
        self._last: tuple[Plan, int] | None = None

    def __call__(self, planned: Plan, step: PlannedStep) -> None:
        """Take note of a step that is there."""
        self._last = planned, step.iteration
        is_made = step.state not in (*pipeline.DONE, "skipped")
        if is_made and step.kind.writes.name == "pairs" and pipeline.is_last_of_pairs(planned, step):
            self._tell(planned, step.iteration)

    @property
    def has_begun(self) -> bool:
        """Whether this run has come to a step."""
        return self._last is not None

    def rest(self) -> None:
        """Tell of the iteration that a failure ended."""
        if self._last is not None and self._last[1] not in self._told:
            with contextlib.suppress(LidrError, OSError):  # the failure itself is told, whatever it did to the store
                self._tell(*self._last)

    def _tell(self, planned: Plan, iteration: int) -> None:
        self._told.add(iteration)
        say(*report.account_lines(planned, iteration))


def show(planned: Plan, summary: Summary, elapsed_s: float, *, until: str | None = None) -> None:
    """Print the account of pairs and the policies."""
    recipe = planned.recipe
    how_far = f" until {until}" if until else ""
    print(f"\n{recipe.name} {recipe.version}: {iterations_of(planned)}{how_far} in {duration(elapsed_s)}\n")
    if summary.account:
        has_two = recipe.prompts is not None and not recipe.are_pairs_sampled
        of_two = " (the dominant and the non-dominant pair of each prompt)" if has_two else ""
        print(f"Pairs by language and iteration{of_two}")
        columns = ("", *(f"iter {c.iteration} {c.language}" for c in summary.columns))
        shown = (row for row in summary.account if any(row.counts) or row is summary.account[-1])
        rows = [(row.label, *(f"{count:,}" for count in row.counts)) for row in shown]
        print_table(columns, rows)
        print()
    if summary.policies:
        is_trained = any(policy.pairs is not None for policy in summary.policies)
        print("Policies" + (f" ({report.TRAINED})" if is_trained else ""))
        columns = ("policy", "weights", "pairs", "loss", "dpo", "nll", "margin", "accuracy")
        most = len(columns) if is_trained else 2  # the numbers are those of training
        print_table(columns[:most], [policy.cells()[:most] for policy in summary.policies], left=2)
    if summary.groups:
        print("\nAfter training, by language and kind (margin in nats; accuracy: share with margin above 0)")
        groups = report.shown_groups(recipe, summary)
        print_table(("policy", "language", "kind", "pairs", "margin", "accuracy"), groups, left=3)
    made = _made(planned)
    for said in report.prompts_lost(recipe, made):
        print(f"\n{said}")
    for said in analysis.aside_sentences(made):
        print(f"\n{said}")
    _show_unanswered(made)
    _show_selection(made)
    _show_guards(made)
    _show_scores(made)


def _made(planned: Plan) -> list[Record]:
    return [store.open_artifact(planned.folder(step)).record for step in planned.steps if step.state in pipeline.DONE]


def iterations_of(planned: Plan) -> str:
    """How many iterations there are: at most, where the run may end earlier and has not."""
    count = planned.ending.iteration if planned.ending else len(planned.recipe.iterations)
    may_end = planned.ending is None and any(step.kind.decides is not None for step in planned.steps)
    is_open = may_end and planned.decided != planned.steps
    return f"{'at most ' if is_open else ''}{count} iteration{'' if count == 1 else 's'}"


def _show_unanswered(made: Sequence[Record]) -> None:
    """Print which questions a server would not answer, and in what words: two lines a step at most."""
    for record in made:
        for row in record.counts.get("unanswered", ())[:2]:
            print(
                f"\n{record.place}: {row['count']:,} without an answer ({row['finish_reason']}), the first of them "
                f"{row['first']}. The server says: {printable(row['said'])}"
            )


def _show_selection(made: Sequence[Record]) -> None:
    """Print what dropping selects, and which prompts are bound to their language: at most two lines."""
    if said := report.selection_lines(record for record in made if record.writes == "pairs"):
        print(f"\n{said[0]}", *said[1:], sep="\n")


def _show_guards(made: Sequence[Record]) -> None:
    """Print what was measured before training and what the gates found, if the recipe does that."""
    records = [record for record in made if record.writes in ("measures", "verdicts")]
    if not records:
        return
    for table in report.measurement_tables(records):
        print(f"\n{table.title}")
        print_table(table.columns, table.rows, left=table.left)
        print(*table.remarks, sep="\n")
    if said := report.gate_lines(records):
        print("\nGates")
        print(*said, sep="\n")


def _show_scores(made: Sequence[Record]) -> None:
    """Print what each policy scored, before and after, if the recipe evaluates."""
    records = [record for record in made if record.writes == "scores"]
    if not records:
        return
    tables = report.before_after(records)
    for table in tables:
        print(f"\n{table.title}")
        print_table(table.columns, table.rows, left=table.left)
    if tables:
        print(report.LEGEND)


def _what_next(planned: Plan, recipe_words: str, page: Path | None) -> None:
    """Say where everything lies, and the next commands."""
    from lidr.pipeline import KEPT

    folder = planned.version_folder
    pairs, policy = _last(planned, "pairs"), _last(planned, "policy")
    lines = [("store", str(folder))]
    if page:
        lines.insert(0, ("report", f"{page} (all of it on one page; open it in a browser)"))
    if pairs:
        files = f"{folder}/iter_*/{pairs.name}/data/*.parquet"
        lines += [("pairs", files), ("dropped", f"{folder}/iter_*/*/dropped/*.parquet (each row with its reason)")]
    if parallel := _last(planned, "prompt_translations"):
        lines.append(
            ("translated prompts", f"{folder}/iter_*/{parallel.name}/data/*.parquet (see that they mean the same)")
        )
    if policy:
        lines.append(("policy", f"{folder}/{policy.place}/model (loads in transformers and vLLM)"))
    print("\nWhere everything lies")
    print_table(("", ""), lines, left=2)
    print("\nNext")
    print_table(("", ""), list(_next_commands(planned, recipe_words)), left=2)
    release = _last(planned, "release")
    if release and release.state in KEPT:
        from lidr.steps import lines_of

        loading = lines_of(planned.folder(release), planned.store.root)
        print(f"\nPublished. To load it from there, in a shell:\n\n{loading}")
    elif pairs:
        print(f"python -c \"import polars as pl; print(pl.read_parquet('{files}'))\"")


def _next_commands(planned: Plan, recipe_words: str) -> Iterator[tuple[str, str]]:
    """What one can do with what this recipe made."""
    recipe = planned.recipe
    name = f"run:{recipe.name}@{recipe.version}"
    # Commands without the recipe look for the store where this shell would, and a --store of this command is not its.
    is_found = (
        "--store" not in shlex.split(recipe_words) and store.store_root().resolve() == planned.store.root.resolve()
    )
    there = "" if is_found else f" --store {shlex.quote(str(planned.store.root.resolve()))}"
    whole = pipeline.plan(recipe)
    if any(step.state not in pipeline.NOTHING_TO_DO for step in whole.steps):
        yield f"lidr run {recipe_words}", "the steps that are still to make"
    yield f"lidr report {recipe_words}", "all of it on one page"
    if _last(planned, "pairs"):
        yield f"lidr pairs show {name}{there}", "the pairs, side by side"
    if _last(planned, "policy") and not any(step.kind.writes.name == "scores" for step in planned.steps):
        yield f"lidr eval run --model {name} --langs {','.join(recipe.languages.all)}{there}", "evaluate the policy"
    publishes = any(step.name == "publish" for step in recipe.chain)
    if whole.to_make:
        pass  # only a finished run can be published
    elif publishes and not recipe.runtime.push:
        yield f"lidr publish {recipe_words}", "publish it: runtime.push is off; true lets `lidr run` publish by itself"
    elif not publishes and _last(planned, "pairs"):
        yield f"lidr publish {recipe_words} --pairs ORG/NAME", "publish the pairs; the recipe has no step `publish`"
    if (shipped := _shipped_name(recipe)) is not None:
        yield f"lidr cp {shipped} my.yaml", "your own recipe, from this one"


def _shipped_name(recipe: Recipe) -> str | None:
    """The name of a recipe that ships with lidr."""
    file, folder = Path(recipe.file).resolve(), shared("recipes").resolve()
    return file.relative_to(folder).with_suffix("").as_posix() if file.is_relative_to(folder) else None


def _last(planned: Plan, rows: str) -> PlannedStep | None:
    """The last step that writes these rows, of those that were made; for policies that of the run's result."""
    result = planned.result if rows == "policy" else None
    steps = [
        step
        for step in planned.steps
        if step.kind.writes.name == rows and step.state != "skipped" and result in (None, step.iteration)
    ]
    return steps[-1] if steps else None
