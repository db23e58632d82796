"""lm-eval at work: the tasks of evals/, answered by one model in a process of its own.

In: an `EvalSpec` and a model. Out: every answer, as lm-eval kept it; scoring is elsewhere. `evaluation_check` says
beforehand whether that can start.
"""

from typing import TYPE_CHECKING

from lidr.lazy import lazily

if TYPE_CHECKING:
    from lidr.evals.harness.answer_process import answer
    from lidr.evals.harness.evaluation_check import CheckedTask, check

__all__ = [
    "CheckedTask",
    "answer",
    "check",
]
__getattr__ = lazily(__name__)
