"""pair: answers and self-translations become preference pairs.

prompts, responses, translations -> pair -> pairs (+ dropped)
"""

from lidr.steps.pair.pair_step import STEP, PairConfig, TranslationType, run_pair

__all__ = ["STEP", "PairConfig", "TranslationType", "run_pair"]
