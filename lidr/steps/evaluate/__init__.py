"""evaluate: MGSM and X-AlpacaEval for the policy an iteration made, and once for the first policy.

policy -> evaluate -> scores
"""

from lidr.steps.evaluate.evaluate_check import check_evaluate
from lidr.steps.evaluate.evaluate_config import EvaluateConfig, JudgeConfig
from lidr.steps.evaluate.evaluate_step import STEP, Scores, evaluate_spec
from lidr.steps.evaluate.step_judge import beside_judge, judge_for, judge_identity, judged_alone, judging_identity

__all__ = [
    "STEP",
    "EvaluateConfig",
    "JudgeConfig",
    "Scores",
    "beside_judge",
    "check_evaluate",
    "evaluate_spec",
    "judge_for",
    "judge_identity",
    "judged_alone",
    "judging_identity",
]
