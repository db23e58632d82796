"""`lidr`: finds the command, keeps tracebacks for real bugs, and turns errors into exit codes.

0    done
1    a bug in lidr (with a traceback)
2    the user's error: a recipe, an option, the store, a model
3    finished with a negative verdict
130  interrupted
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence

from lidr.cli.common import say
from lidr.errors import LidrError, NegativeVerdict
from lidr.version import __version__

COMMANDS = {
    "ls": "list the recipes that ship with lidr",
    "cp": "copy a shipped recipe to start your own from",
    "validate": "check a recipe and show every problem at once",
    "plan": "show what a run would make, what is there, and what drifted",
    "run": "carry out a recipe; goes on where an earlier run stopped",
    "status": "show how far a run is, from another terminal",
    "lock": "resolve Hub models to commits and write them to recipe.lock.json",
    "publish": "publish a finished run to a Hub: one commit, verified, tagged",
    "pairs": "look at preference pairs, and export them for other trainers",
    "card": "print the card that would be published",
    "eval": "evaluate any checkpoint with MGSM and X-AlpacaEval; compare, judge again, check the judge",
    "measure": "let people judge translations on a blind sheet; compare two translators",
    "reproduce": "make a release again from nothing but a Hub, and say whether it comes out the same",
    "report": "write one HTML page about a run, finished or not, from its records",
    "lineage": "show what a row, a model or a data set was made from, and what was made from it",
    "hub": "serve a Hub on this machine for the genuine clients, and look at it",
}
"""Name -> what it does. Each is a module with `arguments(parser)` and `main(options) -> int`."""

_ON_RECIPE_FILES = ("ls", "cp", "validate", "lock")  # in cli/recipe/, the others beside this file


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    if sys.platform == "win32":
        print("lidr runs on Linux and macOS; on Windows use WSL", file=sys.stderr)
        return 2
    argv = list(sys.argv[1:] if arguments is None else arguments)
    options = _parser(argv).parse_args(argv)
    if options.command is None:
        _parser(argv).print_help()
        return 0
    try:
        return int(_module(options.command).main(options))
    except KeyboardInterrupt:
        print("\ninterrupted; the same command goes on from here", file=sys.stderr)
        return 130
    except BrokenPipeError:  # whoever read our output has gone, as `| head` does
        sys.stderr.close()
        return 141
    except OSError as error:  # no permission, no space, no such folder: the user's machine, not a bug
        print(f"{error.filename or type(error).__name__}: {error.strerror or error}", file=sys.stderr)
        return 2
    except Exception as error:
        if not isinstance(error, LidrError):
            raise
        say(f"{type(error).__name__}: {error}")
        return 3 if isinstance(error, NegativeVerdict) else 2


def _parser(argv: Sequence[str]) -> argparse.ArgumentParser:
    """Build the parser; only the command that is called is imported, so `lidr --help` stays quick."""
    parser = argparse.ArgumentParser(
        prog="lidr",
        description="Preference pairs from a model's own language gap: recipes, data sets, training, evaluation.",
        epilog="Start with: lidr ls; lidr cp quickstart my.yaml; lidr plan my.yaml; lidr run my.yaml",
    )
    parser.add_argument("--version", action="version", version=f"lidr {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    called = next((word for word in argv if word in COMMANDS), None)
    for name, meaning in COMMANDS.items():
        command = commands.add_parser(name, help=meaning, description=meaning[0].upper() + meaning[1:] + ".")
        if name == called:
            _module(name).arguments(command)
    return parser


def _module(name: str):  # type: ignore[no-untyped-def]  # a module, checked by the tests of each command
    return importlib.import_module(f"lidr.cli.recipe.{name}" if name in _ON_RECIPE_FILES else f"lidr.cli.{name}")


if __name__ == "__main__":
    sys.exit(main())
