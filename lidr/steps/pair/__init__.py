"""pair: answers and self-translations become preference pairs.

prompts, responses, translations -> pair -> pairs (+ dropped)
"""

from lidr.steps.pair.pair_config import PairConfig, TranslationType
from lidr.steps.pair.pair_step import STEP, run_pair

__all__ = ["STEP", "PairConfig", "TranslationType", "run_pair"]
