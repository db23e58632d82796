"""`lidr eval judge RESULTS`: judge the answers of a results folder again, generating nothing.

With `--against OTHER` the two checkpoints' answers are compared with each other: win, tie, lose in each language.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from lidr.cli.common import print_json, say
from lidr.cli.eval_options import judge_arguments, judge_from
from lidr.cli.eval_progress import listening
from lidr.errors import EvaluationError, NegativeVerdict


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the action."""
    parser.add_argument("results", type=Path, metavar="RESULTS", help="a folder that `lidr eval run` wrote")
    parser.add_argument(
        "--against", type=Path, metavar="RESULTS", help="compare with these answers, not the reference's"
    )
    parser.add_argument("--data", metavar="DIR", help="where the reference answers are; default $LIDR_DATA")
    parser.add_argument("--json", action="store_true", help="print one JSON object on standard output")
    judge_arguments(parser)


def main(options: argparse.Namespace) -> int:
    """Judge, write, print."""
    judge = judge_from(options, log=options.results / "judge.log")
    if judge is None:
        raise EvaluationError("no judge: give --judge REF, or set LIDR_JUDGE_BASE_URL and LIDR_JUDGE_MODEL")
    if options.against:
        return _head_to_head(options, judge)
    from lidr.cli.eval_run import show
    from lidr.evals.evaluation import judge_again
    from lidr.evals.results import read_results

    data = str(Path(options.data).resolve()) if options.data and Path(options.data).is_dir() else options.data
    try:
        count = sum(task.data.asked for task in read_results(options.results).of("x_alpacaeval"))
        with listening(0, count) as listen:
            judge_again(options.results, data=data, judge=judge, listen=listen)
    except NegativeVerdict:
        show(options.results, as_json=options.json)
        raise
    show(options.results, as_json=options.json)
    return 0
