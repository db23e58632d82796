"""`lidr eval compare A B [C...]`: paired differences between evaluations of the same items, with intervals."""

from __future__ import annotations

import argparse
from pathlib import Path

from lidr.cli.common import print_json, print_table, say
from lidr.cli.terminal import printable


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument(
        "evaluations",
        metavar="RESULTS",
        nargs="+",
        help="folders that `lidr eval run` wrote, or steps in the store: run:NAME@VERSION/iter_1/evaluate",
    )
    parser.add_argument("--benchmark", metavar="NAME", help="only this one; default: all that every evaluation has")
    parser.add_argument(
        "--metric",
        metavar="NAME",
        action="append",
        help="only this score, as acc, off_target, win_rate, parsed (may be given again)",
    )
    parser.add_argument("--baseline", metavar="NAME", help="whom the others are compared with; default: the first")
    parser.add_argument("--dominant", metavar="CODE", help="language of the gaps; default: en where it is there")
    parser.add_argument(
        "--common", action="store_true", help="leave out languages and items that not all have, and say how many"
    )
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw it: FILE.png or FILE.svg")
    form = parser.add_mutually_exclusive_group()
    form.add_argument(
        "--format",
        choices=("text", "md", "latex", "csv"),
        default="text",
        help="the tables for a paper: Markdown, LaTeX (booktabs), or every number unrounded as CSV",
    )
    form.add_argument("--json", action="store_true", help="print one JSON object on standard output")


def main(options: argparse.Namespace) -> int:
    """Compare, print, and draw where asked."""
    from lidr.evals import open_evaluations
    from lidr.evals.compare import FORMS, check_plot, compare, legend, tables, write_plot

    if options.plot:
        check_plot(options.plot)
    comparison = compare(
        open_evaluations(options.evaluations),
        benchmark=options.benchmark,
        metric=options.metric,
        baseline=options.baseline,
        dominant=options.dominant,
        common=options.common,
    )
    if options.json:
        print_json("lidr.eval.compare/1", comparison.as_json())
    elif options.format in FORMS:
        print("\n".join(map(printable, FORMS[options.format](comparison).splitlines())))
    else:
        for table in tables(comparison):
            print(f"{table.title}\n")
            print_table(table.columns, table.rows, left=table.left)
            print("".join(f"{remark}\n" for remark in table.remarks))
        print("\n".join(legend(comparison)))
        for note in comparison.notes:
            print(f"note: {note}")
    if options.plot:
        write_plot(comparison, options.plot)
        say(f"picture: {options.plot}")
    return 0
