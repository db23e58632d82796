"""What the command line is made of besides its commands: colour, examples, usage errors, shown problems, the log.

In: words and errors. Out: text for people, plain where no terminal reads it.
"""

from typing import TYPE_CHECKING

from lidr.lazy import lazily

if TYPE_CHECKING:
    from lidr.cli.terminal.colour import STATES, Style, coloured, plain
    from lidr.cli.terminal.escapes import printable
    from lidr.cli.terminal.examples import epilog
    from lidr.cli.terminal.log_file import verbose
    from lidr.cli.terminal.problems import problem_lines
    from lidr.cli.terminal.usage import Parser, near, parsed

__all__ = [
    "STATES",
    "Parser",
    "Style",
    "coloured",
    "epilog",
    "near",
    "parsed",
    "plain",
    "printable",
    "problem_lines",
    "verbose",
]
__getattr__ = lazily(__name__)
