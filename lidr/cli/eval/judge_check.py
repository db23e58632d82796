"""`lidr eval judge-check RESULTS`: how far a judge can be trusted, language by language. Three calls an item.

The judge is asked about each item as given, in the other order, and as given once more (the same question with another
`seed`, kept apart by the cache). Every number stands with its 95% interval and n.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from lidr.cli.common import print_json, print_table, say
from lidr.cli.eval.options import judge_arguments, judge_from, judge_settings, words
from lidr.cli.eval.progress import listening
from lidr.errors import EvaluationError, NegativeVerdict

if TYPE_CHECKING:
    from lidr.evals import Estimate
    from lidr.evals.judge import JudgeReport

_COLUMNS = {
    "orders agree": "order_agreement",
    "first shown wins": "first_shown",
    "agrees with itself": "self_agreement",
    "win": "win",
    "length slope": "length_slope",
}

_LEGEND = """\
orders agree: same outcome when the two answers change places; first shown wins: 0.5 without position bias
agrees with itself: same outcome when asked again; a deterministic server repeats itself, whatever its judgement
length slope: change of win for one standard deviation more length; longer answers may also be better
[95% interval], n = items"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the action."""
    parser.add_argument(
        "results",
        type=Path,
        metavar="OUTPUTS",
        help="a folder that `lidr eval run` wrote, or answers in alpaca_eval's form: LANG.json, or a folder of them",
    )
    parser.add_argument(
        "--against", type=Path, metavar="OUTPUTS", help="compare with these answers, not the reference's"
    )
    parser.add_argument("--data", metavar="DIR", help="where the reference answers are; default $LIDR_DATA")
    parser.add_argument("--langs", metavar="CODES", help="only these, as en,de; default all")
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N items of each language")
    parser.add_argument("--json", action="store_true", help="print one JSON object on standard output")
    judge_arguments(parser)


def main(options: argparse.Namespace) -> int:
    """Ask, compare, print; exit code 3 where too many questions failed."""
    from lidr.evals.judge import calls_of, check_judge, items_of, reasons

    if options.limit is not None and options.limit < 1:
        raise EvaluationError(f"--limit {options.limit}: at least 1")
    data = str(Path(options.data).resolve()) if options.data and Path(options.data).is_dir() else options.data
    languages = words(options.langs, "--langs") if options.langs else None
    items = items_of(options.results, against=options.against, data=data, limit=options.limit, languages=languages)
    judge = judge_from(options, log=Path(judge_settings(options)["cache"]).with_name(".judge.log"))
    if judge is None:
        raise EvaluationError("no judge: give --judge REF, or set LIDR_JUDGE_BASE_URL and LIDR_JUDGE_MODEL")
    count = sum(map(len, items.values()))
    with judge() as settings, listening(0, count) as listen:
        say(f"{settings.model}: {calls_of(items, settings):,} calls for {count:,} items")
        report = check_judge(items, settings, progress=listen.judged)
    if options.json:
        print_json("lidr.eval.judge_check/1", report.as_json())
    else:
        _show(report)
    if report.error_share > settings.max_error_share:
        found = reasons([error for errors in report.errors.values() for error in errors])
        raise NegativeVerdict(
            f"{report.error_share:.1%} of the questions were not judged, {settings.max_error_share:.1%} are allowed "
            f"(--judge-max-error-share): {found}"
        )
    return 0


def _show(report: JudgeReport) -> None:
    judge = report.judge
    print(f"{judge.model}, mode {judge.mode}, template {judge.template} ({judge.template_sha256[:12]})\n")
    rows = [
        [
            code,
            str(report.items[code]),
            str(len(report.errors[code])),
            *(_cell(found[name]) for name in _COLUMNS.values()),
        ]
        for code, found in report.numbers.items()
    ]
    print_table(("language", "items", "errors", *_COLUMNS), rows)
    if report.across:
        print()
        pairs = [
            [
                f"{pair.a} and {pair.b}",
                _cell(pair.agreement),
                "-" if pair.by_chance is None else f"{pair.by_chance:.2f}",
                _cell(pair.correlation),
            ]
            for pair in report.across
        ]
        print_table(("same items in", "same outcome", "by chance", "rank correlation"), pairs)
    print(f"\n{_LEGEND}")


def _cell(estimate: Estimate) -> str:
    if estimate.value is None:
        return "-"
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.2f}, n {estimate.n}"
    return f"{estimate.value:.2f} [{estimate.low:.2f}, {estimate.high:.2f}], n {estimate.n}"
