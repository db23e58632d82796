"""clean: pairs that repeat others, and pairs that hold benchmark questions, go to the dropped rows.

pairs -> clean -> pairs (+ dropped)
"""

from lidr.steps.clean.clean_step import STEP, CleanConfig, Decontaminate, Near, run_clean

__all__ = ["STEP", "CleanConfig", "Decontaminate", "Near", "run_clean"]
