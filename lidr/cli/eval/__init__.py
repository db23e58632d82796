"""`lidr eval ACTION`: evaluation of any checkpoint; one file for each action.

In: the words of the command line. Out: a results folder, tables on standard error, one object with `--json`.
"""

from typing import TYPE_CHECKING

from lidr.lazy import lazily

if TYPE_CHECKING:
    from lidr.cli.eval.eval_command import arguments, main

__all__ = [
    "arguments",
    "main",
]
__getattr__ = lazily(__name__)
