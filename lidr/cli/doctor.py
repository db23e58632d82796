"""`lidr doctor`: what this machine and its environment have and lack for lidr. Exit code 0, or 2 where one is bad."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from lidr.cli.common import print_json, print_table, say
from lidr.doctor import examine


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("--json", action="store_true", help="print one JSON object on standard output")


def main(options: argparse.Namespace) -> int:
    """Look at everything and print it; change nothing."""
    checks = list(examine())
    bad = [check.name for check in checks if check.state == "bad"]
    if options.json:
        print_json("lidr.doctor/1", {"well": not bad, "checks": [asdict(check) for check in checks]})
        return 2 if bad else 0
    rows = [(c.state, c.name, c.said + (f": {c.do}" if c.do else "")) for c in checks]
    print_table(("state", "what", "found"), rows, left=3)
    if bad:
        say(f"in the way of everything: {', '.join(bad)}")
    return 2 if bad else 0
