"""A judge on this machine: a server that lidr starts for as long as it is asked, and ends for certain.

In: a model folder. Out: the address and digest that `JudgeSettings` need.
"""

from typing import TYPE_CHECKING

from lidr.lazy import lazily

if TYPE_CHECKING:
    from lidr.evals.judge.local.judge_server import LocalJudge, local_judge
    from lidr.evals.judge.local.served_judge import SERVED

__all__ = [
    "SERVED",
    "LocalJudge",
    "local_judge",
]
__getattr__ = lazily(__name__)
