"""`lidr reproduce ORG/NAME@TAG`: make a release again from nothing but a Hub, and say whether it comes out the same."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from lidr.cli.common import other_hub, print_json, print_table, say, store_argument
from lidr.cli.terminal import printable
from lidr.errors import NegativeVerdict, PlanError
from lidr.reproduce import SCHEMA, attest

if TYPE_CHECKING:
    from lidr.reproduce import Reproduction


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("release", metavar="ORG/NAME@TAG", help="a data set or a model that lidr published")
    parser.add_argument(
        "--from", dest="start", metavar="STEP", help="begin here; what comes before is taken as published"
    )
    parser.add_argument("--until", metavar="STEP", help="end here")
    parser.add_argument("--rows", type=int, metavar="N", help="answers to N prompts of each iteration only")
    parser.add_argument(
        "--policy",
        type=Path,
        metavar="FOLDER",
        help="the first policy's folder, where the release names one that only its publisher has; it is compared with "
        "the record",
    )
    parser.add_argument("--endpoint", metavar="URL", help="the Hub; default $HF_ENDPOINT, else huggingface.co")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="for what is made; default <store>/.reproduced")
    parser.add_argument("--data", metavar="FOLDER", help="where $LIDR_DATA points for this command")
    parser.add_argument("--trust-remote-code", action="store_true", help="run code that comes with the model")
    parser.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="HOST[:PORT]",
        help="ask this host where the release names it; else only the Hub that it came from; may stand several times",
    )
    parser.add_argument(
        "--attest", metavar="REPO", nargs="?", const="", help="publish the verdict beside the release, or in REPO"
    )
    parser.add_argument("--quiet", action="store_true", help="no progress bars")
    store_argument(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object on standard output")


def main(options: argparse.Namespace) -> int:
    """Reproduce, print the verdict, publish it where that is asked for.

    Raises:
        NegativeVerdict: it is different, or this lidr cannot tell: other rules made it, or nothing could be compared.
    """
    if options.endpoint:  # before anything of Hugging Face is imported
        other_hub(options.endpoint.rstrip("/"))
    if options.data:
        os.environ["LIDR_DATA"] = str(Path(options.data).resolve())
    if options.rows is not None and options.rows < 1:
        raise PlanError(f"--rows {options.rows}: give a number of prompts, 1 or more")
    from lidr.reproduce import ReproductionRequest, reproduce
    from lidr.store import store_root

    wanted = ReproductionRequest(
        options.start,
        options.until,
        options.rows,
        options.trust_remote_code,
        tuple(options.allow_host),
        options.policy,
    )
    out = options.out or store_root() / ".reproduced"
    done = reproduce(options.release, out, wanted, endpoint=options.endpoint, say=say, quiet=options.quiet)
    if options.json:
        print_json(SCHEMA, done.as_json())
    else:
        show(done)
    if options.attest is not None:
        say(f"attested: {attest(done, options.attest or None)}")
    if done.kind in ("different", "other rules", "cannot run here"):
        raise NegativeVerdict(f"{options.release}: {done.kind}: {done.reason}")
    return 0


def show(done: Reproduction) -> None:
    """Print the verdicts, what was touched, and the first differences."""
    release = done.release
    print(printable(f"\n{release['repo']} {release['tag'] or ''} ({release['type']}) at {release['sha']}"))
    if done.findings:
        print("\nTouched since it was published")
        print_table(("", ""), [(finding.path, finding.text) for finding in done.findings], left=2)
    print("\nDifferences of the environment")
    for line in done.environment or ("none",):
        print(printable(f"  {line}"))
    print()
    rows = [(v.place, v.expected, v.said, v.reason) for v in done.verdicts]
    print_table(("step", "compared", "verdict", "because"), rows, left=4)
    for verdict in done.verdicts:
        if verdict.details:
            print(f"\n{verdict.place}: first differences, published -> made again")
            for line in verdict.details[:5]:
                print(printable(f"  {line}"))
    print(printable(f"\nVerdict: {done.said}: {done.reason}"))
