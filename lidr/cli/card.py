"""`lidr card RECIPE`: print the card that would be published."""

from __future__ import annotations

import argparse
import sys

from lidr.cli.common import print_json, read_recipe, recipe_arguments
from lidr.cli.publish import finished, repository_arguments
from lidr.errors import HubError


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    recipe_arguments(parser)
    repository_arguments(parser)
    parser.add_argument("--of", choices=("pairs", "policy"), help="which card; default: pairs, or policy without pairs")


def main(options: argparse.Namespace) -> int:
    """Render the card from the run's records and print it; nothing is sent."""
    from lidr.release import staged

    run, to = finished(read_recipe(options), options)
    what = options.of or ("pairs" if to.pairs else "policy")
    repo = to.pairs if what == "pairs" else to.policy
    if repo is None:
        raise HubError(f"no repository for {what}: name it with --{what} org/name")
    with staged(run, to, what=what) as files:
        card = files.card(None)
    if options.json:
        print_json("lidr.card/1", {"repo": repo, "card": card})
    else:
        sys.stdout.write(card)
    return 0
