"""`lidr quickstart`: the whole method in minutes, from a policy that is good in one language to a better one."""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import sys
import time
from contextlib import suppress
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING

import lidr.report as report
from lidr import evals, hub_server, pipeline, store
from lidr.cli.common import duration, print_json, print_table, read_recipe, say, set_argument
from lidr.cli.terminal import printable
from lidr.extras import require
from lidr.resources import shared
from lidr.steps import published_by

if TYPE_CHECKING:
    from lidr.evals.compare import Comparison
    from lidr.pipeline import Plan

_TOOK = "2 min 6 s on a quiet machine (Intel Xeon, two cores), 4 min 20 s of processor time on a busy AMD EPYC"
"""How long it takes, and where that was measured (docs/measured.md)."""
_PAIRS = 3
_NEEDS = {"train": ("torch", "transformers", "trl", "peft", "accelerate"), "eval": ("lm_eval",), "hub": ("uvicorn",)}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    set_argument(parser, example="policy.model=./recipes/miniature/equal-1")
    parser.add_argument("--json", action="store_true", help="print one JSON object on standard output")
    parser.add_argument("--quiet", action="store_true", help="no progress bars")


def main(options: argparse.Namespace) -> int:
    """Run `recipes/first.yaml`, then show pairs, scores before and after, and where everything is."""
    for extra, packages in _NEEDS.items():
        require(extra, packages, needed_for="lidr quickstart")
    options.recipe, options.data = str(_shipped("first.yaml")), None
    recipe = read_recipe(options)
    say(_opening(len(recipe.iterations)))
    began = time.monotonic()
    planned = pipeline.run(recipe, say=say, quiet=options.quiet)
    page = report.write_page(report.run_state_of(recipe))
    pairs, comparison = _pairs(planned), _compared(planned)
    if options.json:
        sections = comparison.as_json()
        print_json("lidr.quickstart/1", {"pairs": pairs, "comparison": sections, "page": str(page)})
        return 0
    print(f"\nDone in {duration(time.monotonic() - began)}.\n")
    _show_pairs(pairs)
    _show_scores(comparison)
    _show_places(planned, page)
    return 0


def _shipped(name: str) -> Path:
    """A shipped recipe, by the shortest name that opens it."""
    file = shared("recipes") / name
    return file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file


def _opening(iterations: int) -> str:
    fewer = (
        "Where it answers alike in both languages there is no pair. After the first training that is so for most\n"
        "prompts: the second iteration warns that few slots are kept, and here that is success.\n"
    )
    rounds = f"{iterations} iteration{'' if iterations == 1 else 's'}"
    return (
        "A policy of a million parameters does sums well in English, badly in German and Spanish. lidr makes\n"
        "preference pairs from that gap (the policy's own answers, translated by itself), trains it on them, and\n"
        f"measures it before and after: {rounds}, on this machine alone; nothing is downloaded.\n"
        f"{fewer if iterations > 1 else ''}"
        f"It took {_TOOK}. Ctrl-C stops it; the same command goes on from there.\n"
    )


def _compared(planned: Plan) -> Comparison:
    """The first policy's right answers and the last one's, by language."""
    from lidr.evals.compare import compare

    places = [planned.folder(step) for step in planned.steps if step.name == "evaluate" and step.state in pipeline.DONE]
    evaluations = evals.open_evaluations([str(places[0]), str(places[-1])])
    return compare(evaluations, benchmark="mgsm", metric="acc", dominant=planned.recipe.languages.dominant)


def _pairs(planned: Plan) -> list[dict[str, str]]:
    """The first pairs of the first iteration, each of another prompt, the languages in turn."""
    step = next(step for step in reversed(planned.steps) if step.iteration == 1 and step.kind.writes.name == "pairs")
    columns = ("prompt_id", "language", "prompt_text", "chosen_text", "rejected_text")
    rows = store.open_artifact(planned.folder(step)).read().select(columns).to_pylist()
    found: dict[str, dict[str, str]] = {}
    for language in islice(cycle(planned.recipe.languages.others), _PAIRS):
        row = next((row for row in rows if row["language"] == language and row["prompt_id"] not in found), None)
        if row is not None:
            found[row["prompt_id"]] = row
    return list(found.values())


def _is_fancy() -> bool:
    """Whether whoever reads can show more than plain text."""
    return sys.stdout.isatty() and os.environ.get("TERM") != "dumb" and (sys.stdout.encoding or "").lower() == "utf-8"


def _show_pairs(pairs: list[dict[str, str]]) -> None:
    """Prompt above, chosen beside rejected."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(width=None if _is_fancy() else 100, no_color=not _is_fancy(), highlight=False)
    print(f"{len(pairs)} of the pairs of the first iteration" if pairs else "It made no pair that was kept.")
    for pair in pairs:
        table = Table(box=box.SIMPLE if _is_fancy() else box.ASCII, expand=True, title_justify="left", title_style="")
        table.title = Text(f"{pair['language']}: {printable(pair['prompt_text'])}")
        for side, style in (("chosen", "green"), ("rejected", "red")):
            table.add_column(side, style=style, ratio=1)
        table.add_row(*(Text(printable(pair[f"{side}_text"])) for side in ("chosen", "rejected")))
        print()
        console.print(table)


def _show_scores(comparison: Comparison) -> None:
    """Bars of right answers, and how much of each language's gap is gone."""
    from lidr.evals.compare import FULL, PLAIN, bars, gap_lines

    (section,) = comparison.sections
    asked, signs = max(section.items.values()), FULL if _is_fancy() else PLAIN
    print(f"\nRight answers to {asked:,} problems that no iteration asked, with 95% intervals (Wilson's)\n")
    print(*bars(section, signs=signs), sep="\n")
    print(f"\n{signs[1]} the interval below the score, {signs[2]} above it\n")
    print(*gap_lines(section), sep="\n")


def _show_places(planned: Plan, page: Path) -> None:
    """Where everything is, and what to do next; where somebody watches, the Hub's pages stay until Ctrl-C."""
    print("\nWhere it is")
    print_table(("", ""), [("report", page.resolve().as_uri()), ("store", str(planned.version_folder))], left=2)
    print("\nNext")
    paper = shlex.quote(str(_shipped("llama3-8b/instruct.yaml")))
    commands = [
        ("lidr cp first my.yaml", "the recipe, to make it your own: policy, prompts, languages"),
        (f"lidr plan {paper}", "what the paper's setting takes"),
    ]
    print_table(("", ""), commands, left=2)
    step = planned.steps[-1]
    if step.name != "publish" or step.state not in pipeline.DONE:
        return
    folder = planned.folder(step)
    root = planned.store.root / ".hub"
    prefix = {"dataset": "/datasets/", "model": "/"}
    paths = dict.fromkeys(prefix[one.repo_type] + one.repo for one in published_by(folder))  # a policy an iteration
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        print(f"\nPublished to a Hub on this machine. To see it: lidr hub serve --root {shlex.quote(str(root))}")
        print(*(f"  http://127.0.0.1:8080{path}" for path in paths), sep="\n")
        return
    with hub_server.serve_in_background(root) as hub, suppress(KeyboardInterrupt):
        print("\nPublished to a Hub on this machine; its pages are there until Ctrl-C, and then by `lidr hub serve`")
        print(*(f"  {hub.url}{path}" for path in paths), sep="\n", flush=True)
        signal.pause()
