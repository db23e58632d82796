"""gate: what to do when a failure signature shows, and which policy is the run's result.

    scores, measures, translations, pairs, policy; findings of earlier iterations -> gate -> findings

Its record holds the decision that steers all later iterations.
"""

from lidr.steps.gate.gate_step import STEP, GateConfig, run_gate

__all__ = ["STEP", "GateConfig", "run_gate"]
