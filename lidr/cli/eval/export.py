"""`lidr eval export RESULTS --alpaca-eval FOLDER`: answers in alpaca_eval's form."""

from __future__ import annotations

import argparse
from pathlib import Path

from lidr.cli.common import print_json, say


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("results", metavar="RESULTS", type=Path, help="a folder that `lidr eval run` wrote")
    parser.add_argument(
        "--alpaca-eval",
        dest="folder",
        metavar="FOLDER",
        type=Path,
        required=True,
        help="write model_outputs_LANG.json and reference_outputs_LANG.json there",
    )
    parser.add_argument("--data", metavar="DATA", help="where the references stand; default $LIDR_DATA")
    parser.add_argument(
        "--without-reference", dest="with_reference", action="store_false", help="write the model's answers only"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object on standard output")


def main(options: argparse.Namespace) -> int:
    """Write the files and say which."""
    from lidr.evals.x_alpacaeval import export_alpaca_eval

    files = export_alpaca_eval(
        options.results, options.folder, data=options.data, with_reference=options.with_reference
    )
    if options.json:
        print_json("lidr.eval.export/1", {"files": [str(path) for path in files]})
        return 0
    for path in files:
        print(path)
    say("alpaca_eval reads them with --model_outputs and --reference_outputs")
    return 0
