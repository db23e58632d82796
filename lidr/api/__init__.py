"""lidr from Python: what the commands do, with results that show themselves in notebooks.

In: a recipe or its file, a model. Out: results with tables of polars, and pages as files.

run_result     what `run` and `evaluate` return
running        run, build_pairs, publish: from a recipe
evaluating     evaluate: any checkpoint
"""

from typing import TYPE_CHECKING

from lidr.lazy import lazily

if TYPE_CHECKING:
    from lidr.api.evaluating import evaluate
    from lidr.api.run_result import EvaluationResult, RunResult
    from lidr.api.running import build_pairs, finished_release, publish, run

__all__ = [
    "EvaluationResult",
    "RunResult",
    "build_pairs",
    "evaluate",
    "finished_release",
    "publish",
    "run",
]
__getattr__ = lazily(__name__)
