"""X-AlpacaEval (arXiv 2410.08964): open instructions; a judge compares each answer with one of a reference model.

In: rows, answers, verdicts. Out: win rates with errors, off-target shares; answers in alpaca_eval's form. lm-eval's
task files name functions of this face.
"""

from typing import TYPE_CHECKING

from lidr.lazy import lazily

if TYPE_CHECKING:
    from lidr.evals.x_alpacaeval.alpaca_eval_export import export_alpaca_eval
    from lidr.evals.x_alpacaeval.x_alpacaeval_task import (
        VERSION,
        aggregate,
        aggregate_error,
        count_judgements,
        detect,
        judge_filter,
        load,
        minimal_lc_win_rate,
        process_results,
        prompt_of,
        prompt_sha256,
        score,
        summarise,
        task_name,
    )

__all__ = [
    "VERSION",
    "aggregate",
    "aggregate_error",
    "count_judgements",
    "detect",
    "export_alpaca_eval",
    "judge_filter",
    "load",
    "minimal_lc_win_rate",
    "process_results",
    "prompt_of",
    "prompt_sha256",
    "score",
    "summarise",
    "task_name",
]
__getattr__ = lazily(__name__)
