"""The command line: one file for each command; each parses, calls and prints.

In: the words of the command line. Out: text on standard error, one object on standard output with `--json`, an exit
code. `main` finds the command; `recipe/` holds those on recipe files, `eval/` the actions of `lidr eval`.
"""

__all__: list[str] = []
