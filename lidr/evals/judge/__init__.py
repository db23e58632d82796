"""The judge: which of two outputs is better, asked of any OpenAI-compatible server, or of one that lidr starts.

template.py + order.py -> request.py -> asking.py (client.py, cache.py) -> verdict.py -> run.py: Comparison -> Verdict
"""

from lidr.evals.judge.grading import Grade, Grading, grade, grades_needed
from lidr.evals.judge.judge_comparisons import calls_needed, check_errors, judge, reasons
from lidr.evals.judge.settings import JudgeSettings
from lidr.evals.judge.verdicts import Comparison, JudgeMode, Order, Verdict

__all__ = [
    "Comparison",
    "Grade",
    "Grading",
    "JudgeMode",
    "JudgeSettings",
    "Order",
    "Verdict",
    "calls_needed",
    "check_errors",
    "grade",
    "grades_needed",
    "judge",
    "reasons",
]
