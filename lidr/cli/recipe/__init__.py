"""Commands on recipe files, before anything runs: ls, cp, validate, lock.

In: the words of the command line. Out: recipes, problems with their place, a lock.
"""

__all__: list[str] = []
