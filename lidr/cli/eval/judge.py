"""`lidr eval judge RESULTS`: judge the answers of a results folder again, generating nothing.

With `--against OTHER` the two checkpoints' answers are compared with each other: win, tie, lose in each language.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from lidr.cli.common import print_json, say
from lidr.cli.eval.options import judge_arguments, judge_from, judge_settings
from lidr.cli.eval.progress import listening
from lidr.cli.eval.run import show
from lidr.errors import EvaluationError, NegativeVerdict

if TYPE_CHECKING:
    from lidr.evals.judge import Judge


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the action."""
    parser.add_argument(
        "results",
        metavar="RESULTS",
        help="a folder that `lidr eval run` wrote (x_alpacaeval or mt_bench), or run:.../evaluate, which is copied",
    )
    parser.add_argument(
        "--against", type=Path, metavar="RESULTS", help="compare with these answers, not the reference's"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="with --against: results folder; default beside")
    parser.add_argument("--data", metavar="DIR", help="where the reference answers are; default $LIDR_DATA")
    parser.add_argument(
        "--export-verdicts", type=Path, metavar="FILE", help="write all verdicts to a Parquet file to publish"
    )
    parser.add_argument(
        "--import-verdicts", type=Path, metavar="FILE", help="take over published verdicts, so nobody is asked"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object on standard output")
    judge_arguments(parser)


def main(options: argparse.Namespace) -> int:
    """Judge, write, print."""
    from lidr.evals import results_folder

    options.results = _own(results_folder(options.results))
    judge = judge_from(options, log=options.results / "judge.log")
    if judge is None:
        raise EvaluationError("no judge: give --judge REF, or set LIDR_JUDGE_BASE_URL and LIDR_JUDGE_MODEL")
    if options.against:
        return _head_to_head(options, judge)
    from lidr.evals import judge_again, read_results
    from lidr.evals.judge import import_verdicts, verdict_table, write_verdicts

    if read_results(options.results).of("mt_bench"):
        return _grade_again(options, judge)
    data = str(Path(options.data).resolve()) if options.data and Path(options.data).is_dir() else options.data
    cache = Path(judge_settings(options)["cache"])
    if options.import_verdicts:
        say(f"{import_verdicts(options.import_verdicts, cache):,} answers of a judge taken over")
    try:
        count = sum(task.data.asked for task in read_results(options.results).of("x_alpacaeval"))
        with listening(0, count) as listen:
            judge_again(options.results, data=data, judge=judge, listen=listen)
    except NegativeVerdict:
        show(options.results, as_json=options.json)
        raise
    if options.export_verdicts:
        write_verdicts(verdict_table(options.results, cache=cache), options.export_verdicts)
        say(f"verdicts: {options.export_verdicts}")
    show(options.results, as_json=options.json)
    return 0


def _own(folder: Path) -> Path:
    """The folder that may be written to: of a step's results a copy, for its record says what they are."""
    from lidr.store import RECORD_FILE, open_artifact, store_root

    if folder.name != "results" or not (folder.parent / RECORD_FILE).is_file():
        return folder
    step = open_artifact(folder.parent)
    record = step.record
    name = f"{record.recipe}-{record.version}-iter_{record.iteration}-{record.step}-judged"
    copy = store_root() / "evals" / name
    copy.mkdir(parents=True, exist_ok=True)
    for path in step.verified("results"):
        if not path.name.startswith("."):
            shutil.copyfile(path, copy / path.name)
    say(f"{folder}: what a step wrote stays as it is; judged again in {copy}")
    return copy


def _grade_again(options: argparse.Namespace, judge: Judge) -> int:
    """Marks for the answers of mt_bench."""
    from lidr.evals import read_results
    from lidr.evals.mt_bench import TURNS, grade_again

    if options.export_verdicts or options.import_verdicts:
        raise EvaluationError(
            f"{options.results}: mt_bench has marks, which no file of verdicts holds; leave out --export-verdicts and "
            "--import-verdicts"
        )
    count = TURNS * sum(task.data.asked for task in read_results(options.results).of("mt_bench"))
    try:
        with listening(0, count, "marks") as listen:
            grade_again(options.results, judge=judge, listen=listen)
    except NegativeVerdict:
        show(options.results, as_json=options.json)
        raise
    show(options.results, as_json=options.json)
    return 0


def _head_to_head(options: argparse.Namespace, judge: Judge) -> int:
    """Win, tie, lose of one checkpoint's answers against another's."""
    from lidr.evals import pairs_of, read_outputs
    from lidr.evals.compare import comparisons, head_to_head, languages_of, write_head_to_head
    from lidr.evals.judge import check_errors
    from lidr.report import head_to_head_text

    a, b = read_outputs(options.results), read_outputs(options.against)
    pairs = {language: pairs_of(a, b, language) for language in languages_of(a, b)}
    count = len(comparisons(pairs))
    say(f"{count:,} comparisons of {a.name} with {b.name}")
    with judge() as settings, listening(0, count) as listen:
        found = head_to_head(a, b, settings, progress=listen.judged)
    out = options.out or options.results / f"against-{b.name.replace('/', '-')}"
    results = write_head_to_head(out, a, b, found)
    if options.json:
        print_json("lidr.eval.judge/1", {"folder": str(out), "results": results.model_dump(mode="json", by_alias=True)})
    else:
        print(f"{head_to_head_text(results)}\n\n{out}: results.json, samples.parquet, scores.parquet")
    try:
        check_errors(found.verdicts, settings)
    except EvaluationError as error:
        raise NegativeVerdict(str(error)) from None
    return 0
