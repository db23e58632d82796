"""pairs: a run that starts from pushed pairs instead of making them: one set, or a mixture of several.

sets of pairs, on the Hub, in a folder, of another run -> pairs -> pairs (+ dropped)
"""

from lidr.steps.pairs.pairs_config import PairsConfig, PairSet
from lidr.steps.pairs.pairs_step import STEP, run_pairs

__all__ = ["STEP", "PairSet", "PairsConfig", "run_pairs"]
