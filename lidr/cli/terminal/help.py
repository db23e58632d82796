"""`lidr help [COMMAND [ACTION]]`: the help of a command, of one of its actions, or of all.

`lidr.cli.main` shows it; this says how it is called.
"""

from __future__ import annotations

import argparse


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument(
        "of", metavar="COMMAND", nargs="*", help="whose, as run, or pairs export; without one, the list of commands"
    )


def main(options: argparse.Namespace) -> int:
    """Never reached: the words are read as COMMAND --help."""
    return 0
