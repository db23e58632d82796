"""`lidr`: finds the command, keeps tracebacks for real bugs, and turns errors into exit codes.

0    done
1    a bug in lidr (with a traceback)
2    the user's error: a recipe, an option, the store, a model
3    finished with a negative verdict
130  interrupted
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import signal
import sys
import traceback
from collections.abc import Iterator, Sequence

from lidr.cli.common import say
from lidr.cli.terminal import Parser, coloured, epilog, near, parsed, printable, problem_lines, verbose
from lidr.disk_faults import is_full, is_told, no_space
from lidr.errors import LidrError, NegativeVerdict, RecipeError
from lidr.secrecy import cleaned_output, without_user
from lidr.version import __version__

COMMANDS = {
    "quickstart": "see the whole method in minutes: pairs, training, scores before and after, a report, a Hub page",
    "init": "write a short recipe for your model, languages and prompts",
    "ls": "list the recipes that ship with lidr",
    "cp": "copy a shipped recipe to start your own from",
    "validate": "check a recipe and show every problem at once",
    "plan": "show what a run would make, what is there, and what drifted",
    "run": "carry out a recipe; goes on where an earlier run stopped",
    "status": "show how far a run is, from another terminal",
    "slurm": "print a Slurm job file that carries a recipe out on one node or on several",
    "lock": "resolve Hub models to commits and write them to recipe.lock.json",
    "publish": "publish a finished run to a Hub: one commit, verified, tagged",
    "pairs": "look at preference pairs, compare two sets of them, and export them for other trainers",
    "card": "print the card that would be published",
    "eval": "evaluate any checkpoint with MGSM and X-AlpacaEval; compare, judge again, check the judge",
    "merge": "put an adapter into its base: a plain model folder that everything loads",
    "measure": "let people judge translations on a blind sheet; compare two translators",
    "reproduce": "make a release again from nothing but a Hub, and say whether it comes out the same",
    "report": "write one HTML page about a run, finished or not, from its records",
    "lineage": "show what a row, a model or a data set was made from, and what was made from it",
    "doctor": "say what this machine and its environment have and lack for lidr",
    "hub": "serve a Hub on this machine for the genuine clients, and look at it",
    "runs": "list the runs of the store, with size and state",
    "rm": "remove runs from the store, but for what a release or another run needs",
    "help": "show the help of a command",
}
"""Name -> what it does. Each is a module with `arguments(parser)` and `main(options) -> int`."""

_FOLDERS = {
    **dict.fromkeys(("init", "ls", "cp", "validate", "lock", "slurm"), "recipe."),
    **dict.fromkeys(("runs", "rm"), "stored."),
    "help": "terminal.",
}
"""Command -> the folder of its module; the others stand beside this file."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    if sys.platform == "win32":
        print("lidr runs on Linux and macOS; on Windows use WSL", file=sys.stderr)
        return 2
    argv = list(sys.argv[1:] if arguments is None else arguments)
    if arguments is None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, _Stop(os.getpid()))
    with cleaned_output():
        os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")  # it would look for them in every distribution
        _endpoint_without_user()
        return _carry_out(argv)


def _endpoint_without_user() -> None:
    """Take the user part out of HF_ENDPOINT before the Hub's client reads it: it would stand in its messages."""
    given = os.environ.get("HF_ENDPOINT", "")
    if (plain := without_user(given)) != given:
        os.environ["HF_ENDPOINT"] = plain
        say(f"HF_ENDPOINT: the user part is left out, asking {plain}; a token belongs into HF_TOKEN")


def _carry_out(argv: list[str]) -> int:
    if argv[:1] == ["help"] and argv[1:2] != ["--help"]:
        argv = [*argv[1:], "--help"]
    _refuse_unknown(argv)
    parser = _parser(argv)
    options = parsed(parser, argv)
    if options.command is None:
        parser.print_help()
        return 0
    if getattr(options, "verbose", False):
        verbose()
    with _store_of(options):
        return _called(options)


def _called(options: argparse.Namespace) -> int:
    try:
        return int(_module(options.command).main(options))
    except KeyboardInterrupt as error:
        print(f"\n{str(error) or 'interrupted'}; the same command goes on from here", file=sys.stderr)
        return 128 + (signal.SIGTERM if str(error) == _TERMINATED else signal.SIGINT)
    except BrokenPipeError:  # whoever read our output has gone, as `| head` does
        sys.stderr.close()
        return 141
    except Exception as error:
        return _told(error)


def _told(error: Exception) -> int:
    """Say an error as far as it is the user's; the exit code."""
    if isinstance(error, RecipeError):
        say(*problem_lines(error.found), is_clean=True)
        return 2
    if is_full(error):
        sys.unraisablehook = _without_full_disks
    if is_full(error) and not is_told(error):
        say(no_space(error))
        return 2
    if isinstance(error, LidrError):
        word = "verdict:" if isinstance(error, NegativeVerdict) else "error:"
        say(f"{coloured(word, 'red', sys.stderr)} {printable(str(error))}", is_clean=True)
        return 3 if isinstance(error, NegativeVerdict) else 2
    if isinstance(error, OSError):  # no permission, no such folder: the user's machine, not a bug
        say(f"{error.filename or type(error).__name__}: {error.strerror or error}")
        return 2
    traceback.print_exc()  # a bug: printed here, because the interpreter would print its secrets
    return 1


def _without_full_disks(unraisable: sys.UnraisableHookArgs) -> None:
    """A full disk was told once: writers that cannot close their files say it again, with tracebacks."""
    if unraisable.exc_value is None or not is_full(unraisable.exc_value):
        sys.__unraisablehook__(unraisable)


def _refuse_unknown(argv: Sequence[str]) -> None:
    """Say which command may have been meant."""
    word = next((word for word in argv if not word.startswith("-")), None)
    if word is not None and word not in COMMANDS:
        print(f'lidr: no command "{word}"{near(word, COMMANDS)}\nThere are: {", ".join(COMMANDS)}', file=sys.stderr)
        print("See: lidr help", file=sys.stderr)
        raise SystemExit(2)


@contextlib.contextmanager
def _store_of(options: argparse.Namespace) -> Iterator[None]:
    """The store that --store names, for this command."""
    before = os.environ.get("LIDR_STORE")
    if given := getattr(options, "store", None):
        os.environ["LIDR_STORE"] = os.path.abspath(os.path.expanduser(given))
    try:
        yield
    finally:
        if given:
            os.environ.pop("LIDR_STORE", None)
            os.environ.update({} if before is None else {"LIDR_STORE": before})


_TERMINATED = "stopped by SIGTERM"


class _Stop:
    """Ctrl-C or `kill`: what runs comes to an end by itself; the second time, at once.

    Workers end with this process.
    """

    def __init__(self, process: int) -> None:
        self._process = process

    def __call__(self, number: int, _: object) -> None:
        """Handle a signal; a process that a library forked from this one ends by it, as it would by itself."""
        if os.getpid() != self._process:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, _ended)
        raise KeyboardInterrupt(*([_TERMINATED] if number == signal.SIGTERM else []))


def _ended(number: int, _: object) -> None:
    os.write(2, b"\nended at once; the same command goes on from here\n")
    os._exit(128 + number)


def _parser(argv: Sequence[str]) -> Parser:
    """Build the parser; only the command that is called is imported, so `lidr --help` stays quick."""
    parser = Parser(
        prog="lidr",
        description="Preference pairs from a model's own language gap: recipes, data sets, training, evaluation.",
        epilog="Start with: lidr quickstart; lidr cp first my.yaml; lidr plan my.yaml; lidr run my.yaml",
    )
    parser.add_argument("--version", action="version", version=f"lidr {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    called = next((word for word in argv if word in COMMANDS), None)
    for name, meaning in COMMANDS.items():
        command = commands.add_parser(
            name,
            help=meaning,
            description=meaning[0].upper() + meaning[1:] + ".",
            epilog=epilog(name),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        if name == called:
            _module(name).arguments(command)
            command.add_argument("-v", "--verbose", action="store_true", help="tell what libraries log")
    return parser


def _module(name: str):  # type: ignore[no-untyped-def]  # a module, checked by the tests of each command
    return importlib.import_module(f"lidr.cli.{_FOLDERS.get(name, '')}{name}")


if __name__ == "__main__":
    sys.exit(main())
