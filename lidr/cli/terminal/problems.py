"""Problems of a recipe, each with its line and a mark below the place."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from lidr.cli.terminal.colour import coloured
from lidr.cli.terminal.escapes import printable
from lidr.errors import Problem

_WIDEST = 160


def problem_lines(problems: Iterable[Problem]) -> Iterator[str]:
    """The text of each problem, then its line of the file with a caret, where both are known."""
    for problem in problems:
        yield coloured(printable(str(problem)), "bold", sys.stderr)
        line = _line(problem.file, problem.line)
        if line is not None and problem.column is not None and line.strip():
            start = max(0, problem.column - 1 - _WIDEST // 2)
            number = f"{problem.line:>5} | "
            yield coloured(number, "dim", sys.stderr) + printable(line[start : start + _WIDEST])
            column = problem.column - 1 - start
            pad = "".join("\t" if letter == "\t" else " " for letter in line[start : start + column])
            yield " " * (len(number) - 2) + "| " + pad + coloured("^", "red", sys.stderr)


def _line(file: str | None, number: int | None) -> str | None:
    lines = _lines(file) if file is not None else ()
    return lines[number - 1].rstrip() if number is not None and 0 < number <= len(lines) else None


@cache
def _lines(file: str) -> tuple[str, ...]:
    try:
        return tuple(Path(file).read_text(encoding="utf-8").split("\n"))
    except (OSError, UnicodeDecodeError):
        return ()
