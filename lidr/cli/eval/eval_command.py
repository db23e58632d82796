"""`lidr eval run|check|judge|judge-check|compare|paper-check|lc|export`: evaluation of any checkpoint."""

from __future__ import annotations

import argparse
import importlib
import sys

ACTIONS = {
    "run": "answer MGSM and X-AlpacaEval with a checkpoint, judge and score the answers",
    "check": "load the tasks and their rows, render the first prompts, generate nothing",
    "judge": "judge the answers of a results folder again, or against another's answers",
    "judge-check": "how far a judge can be trusted, language by language",
    "compare": "compare checkpoints in pairs of equal items, with intervals, as table and picture",
    "paper-check": "put results beside the paper's numbers",
    "lc": "AlpacaEval's own length-controlled win rate (version 1), where its conditions hold",
    "export": "write the answers in the form that alpaca_eval reads",
}
"""Name -> what it does. Each is a module of this package."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command; only the action that is called is imported."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, meaning in ACTIONS.items():
        action = actions.add_parser(name, help=meaning, description=meaning[0].upper() + meaning[1:] + ".")
        if name in sys.argv or "lidr" not in sys.argv[0]:
            _module(name).arguments(action)


def main(options: argparse.Namespace) -> int:
    """Carry out one action."""
    return int(_module(options.action).main(options))


def _module(name: str):  # type: ignore[no-untyped-def]  # a module, checked by the tests of each action
    return importlib.import_module(f"lidr.cli.eval.{name.replace('-', '_')}")
