"""`lidr eval lc RESULTS --files DIR`: the number of AlpacaEval's leaderboard, where its conditions hold."""

from __future__ import annotations

import argparse

from lidr.cli.common import print_json


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument(
        "results",
        metavar="RESULTS",
        help="a folder that `lidr eval run` wrote, or a step in the store: run:NAME@VERSION/iter_1/evaluate",
    )
    parser.add_argument(
        "--files",
        metavar="DIR",
        required=True,
        help="folder with df_gamed.csv and instruction_difficulty.csv of AlpacaEval, or org/name@COMMIT that has them",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object on standard output")


def main(options: argparse.Namespace) -> int:
    """Check the conditions, compute, and print."""
    from lidr.evals import length_controlled, read_length_control, results_folder

    found = length_controlled(results_folder(options.results), read_length_control(options.files))
    if options.json:
        print_json("lidr.eval.lc/1", {"score": "lc_win_rate_v1", **found.model_dump(mode="json")})
    else:
        print(
            f"length-controlled win rate, AlpacaEval's version 1: {found.text(digits=2)}% of {found.n:,} judged items"
        )
    return 0
