"""Commands on the store as a whole: runs, rm.

In: names of runs. Out: what the store holds of them, and less of it.
"""

__all__: list[str] = []
