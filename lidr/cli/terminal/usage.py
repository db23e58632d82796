"""A parser that says which command has which options, and what may have been meant."""

from __future__ import annotations

import argparse
import difflib
import re
import sys
from collections.abc import Iterable, Sequence
from typing import NoReturn


class Parser(argparse.ArgumentParser):
    """argparse's, with nearer words for what it does not know; errors show the usage of the command that was called."""

    def error(self, message: str) -> NoReturn:
        """Say the usage of this command and what is wrong, then leave with 2."""
        found, choice, allowed = message.partition("invalid choice: ")
        if choice:
            word, _, names = allowed.partition(" (choose from ")
            known = [name.strip().strip("'") for name in names.rstrip(")").split(",")]
            message = f"{found}unknown {word}{near(word.strip(chr(39)), known)}; choose from {', '.join(known)}"
        if number := re.fullmatch(r"argument (\S+): invalid (int|float) value: '(.*)'", message):
            wanted = "a whole number is needed, as 10" if number[2] == "int" else "a number is needed, as 0.5"
            message = f'argument {number[1]}: found "{number[3]}", and {wanted}'
        self.print_usage(sys.stderr)
        print(f"{self.prog}: {message}", file=sys.stderr)
        if "--help" not in self.format_usage():
            print(f"See: {self.prog.replace('lidr', 'lidr help', 1)}", file=sys.stderr)
        raise SystemExit(2)

    def options(self) -> list[str]:
        """Every option of this command, as one writes it."""
        return [text for action in self._actions for text in action.option_strings]

    def called(self, options: argparse.Namespace) -> Parser:
        """The parser of the command, and of the action below it, that was called."""
        for action in self._actions:
            if isinstance(action, argparse._SubParsersAction):
                below = action.choices.get(str(getattr(options, action.dest, None)))
                if isinstance(below, Parser):
                    return below.called(options)
        return self


def near(word: str, known: Iterable[str]) -> str:
    """`; did you mean "run"?`, or nothing.

    >>> near("vaildate", ["validate", "plan"])
    '; did you mean "validate"?'
    """
    found = difflib.get_close_matches(word, list(known), n=1)
    return f'; did you mean "{found[0]}"?' if found else ""


def parsed(parser: Parser, argv: Sequence[str]) -> argparse.Namespace:
    """The options of the command line; what no command knows is refused by the command that was called."""
    options, unknown = parser.parse_known_args(argv)
    if unknown:
        called = parser.called(options)
        word = unknown[0]
        if word.startswith("-"):
            called.error(f'unknown option "{word}"{near(word.partition("=")[0], called.options())}')
        called.error(f'"{word}" is one word too many')
    return options
