"""`lidr eval paper-check RESULTS`: our numbers beside the paper's cells, with the errors of both."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import TYPE_CHECKING

from lidr.analysis import TITLES
from lidr.cli.common import print_json, print_table
from lidr.errors import EvaluationError
from lidr.evals.compare import metric_named

if TYPE_CHECKING:
    from lidr.evals import Cell, PaperCheck


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument(
        "results",
        metavar="RESULTS",
        help="a folder that `lidr eval run` wrote, or a step in the store: run:NAME@VERSION/iter_1/evaluate",
    )
    parser.add_argument("--table", choices=("x_alpacaeval", "mgsm"), help="only this one; default: all there are")
    parser.add_argument(
        "--row",
        metavar="NAME",
        action="append",
        help="a model of the paper's table (may be given again); default: M0, M1 and M2: base, iterations 1 and 2",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object on standard output")


def main(options: argparse.Namespace) -> int:
    """Compare and print; a number outside is a finding, not a failure."""
    from lidr.evals import ITERATIONS, TABLES, check, read_paper, read_results, results_folder

    results = read_results(results_folder(options.results))
    names = [options.table] if options.table else [name for name in TABLES if results.of(name)]
    if not names:
        raise EvaluationError(f"{results.name} has results of none of {', '.join(TABLES)}, so the paper has no cell")
    rows = options.row or ITERATIONS
    checks = [one for name in names for one in check(results, name, rows)]
    if options.json:
        paper = read_paper()
        sources = {name: paper.tables[name].source for name in names}
        content = [{**asdict(one), "impossible": [cell._asdict() for cell in one.impossible]} for one in checks]
        print_json("lidr.eval.paper-check/1", {"paper": paper.paper, "sources": sources, "checks": content})
    else:
        for one in checks:
            _show(one, results.name)
        for line in dict.fromkeys(line for one in checks for line in _remarks(one)):
            print(line)
        print("± one standard error; the paper's from its n (binomial; for a win rate the most it can be)")
    return 0


def _show(check: PaperCheck, name: str) -> None:
    form = "" if check.variant == "plain" else f" ({check.variant})"
    title = f"{TITLES[check.table]}{form}, {metric_named(check.table, check.metric).label}"
    print(f"{title}: {name} beside the paper's {check.row}" + (f", {check.label}" if check.label != check.row else ""))
    print()
    columns = ("language", "n", "ours", "paper", "difference", "combined error", "at 95%")
    print_table(columns, [_row(check, cell) for cell in check.cells])
    for wrong in check.impossible:
        printed, below, above = (f"{v:.{check.decimals}f}" for v in (wrong.value, wrong.below, wrong.above))
        print(f"! {wrong.column}: the printed {printed} cannot be with this n; possible are {below} and {above}")
    print()


def _remarks(check: PaperCheck) -> list[str]:
    """What holds for a whole table; several of the paper's rows share most of it."""
    return [*(f"not comparable: {why}" for why in check.not_comparable), *(f"note: {said}" for said in check.remarks)]


def _row(check: PaperCheck, cell: Cell) -> tuple[str, ...]:
    def number(value: float | None, sign: str = "") -> str:
        return "-" if value is None else f"{value:{sign}.{check.decimals}f}"

    verdict = "-" if cell.inside is None else "inside" if cell.inside else "outside"
    ours = "-" if cell.ours is None else f"{number(cell.ours)} ± {number(cell.our_error)}"
    paper = number(cell.paper) + ("" if cell.paper_error is None else f" ± {number(cell.paper_error)}")
    return (
        cell.language,
        f"{cell.n:,}",
        ours,
        paper + (" !" if cell.impossible else "  "),
        number(cell.difference, "+"),
        number(cell.combined_error),
        "not comparable" if check.not_comparable else verdict,
    )
