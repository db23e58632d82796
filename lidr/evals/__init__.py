"""Evaluation: MGSM, X-AlpacaEval and MT-Bench for any checkpoint, a judge, and statistics for parallel items.

In: a checkpoint (any reference) and an `EvalSpec`. Out: a results folder: `results.json` with every score and what it
depends on, `samples.parquet` with the texts, `scores.parquet` with the values by item.

    harness/        lm-eval, in a process of its own: who asks the model
    mgsm/, x_alpacaeval/, mt_bench/    one folder a benchmark: what is asked, how an answer is read
    judge/          which of two answers is better, or what mark one deserves
    compare/        several evaluations of the same items
    statistics, win_rate, paper        numbers; the paper's beside ours
"""

from typing import TYPE_CHECKING

from lidr.lazy import lazily

if TYPE_CHECKING:
    from lidr.evals.benchmark_rows import (
        MGSM_HUB,
        MGSM_ROWS,
        Loaded,
        RowBenchmark,
        check_rows,
        load_rows,
        read_each,
    )
    from lidr.evals.benchmarks import BENCHMARKS, JUDGED, benchmark, task_specs
    from lidr.evals.checkpoint import Checkpoint, digest_of, find_adapter, find_checkpoint
    from lidr.evals.evaluation import Listener, evaluate, identity_of, judge_again, load_all, totals
    from lidr.evals.length_control import (
        length_controlled,
        read_length_control,
        unlike_alpaca_eval,
        with_length_control,
    )
    from lidr.evals.model_outputs import pairs_of, read_outputs
    from lidr.evals.paper import ITERATIONS, TABLES, Cell, PaperCheck, check, read_paper
    from lidr.evals.reader import open_evaluations, results_folder
    from lidr.evals.results import (
        SCORES,
        ModelFacts,
        Results,
        Score,
        TaskResult,
        read_results,
        read_samples,
        read_scores,
    )
    from lidr.evals.scoring import score_again
    from lidr.evals.spec import Decoding, EvalSpec, TaskSpec
    from lidr.evals.statistics import ALL, GAP_ERRORS, Estimate

__all__ = [
    "ALL",
    "BENCHMARKS",
    "GAP_ERRORS",
    "ITERATIONS",
    "JUDGED",
    "MGSM_HUB",
    "MGSM_ROWS",
    "SCORES",
    "TABLES",
    "Cell",
    "Checkpoint",
    "Decoding",
    "Estimate",
    "EvalSpec",
    "Listener",
    "Loaded",
    "ModelFacts",
    "PaperCheck",
    "Results",
    "RowBenchmark",
    "Score",
    "TaskResult",
    "TaskSpec",
    "benchmark",
    "check",
    "check_rows",
    "digest_of",
    "evaluate",
    "find_adapter",
    "find_checkpoint",
    "identity_of",
    "judge_again",
    "length_controlled",
    "load_all",
    "load_rows",
    "open_evaluations",
    "pairs_of",
    "read_each",
    "read_length_control",
    "read_outputs",
    "read_paper",
    "read_results",
    "read_samples",
    "read_scores",
    "results_folder",
    "score_again",
    "task_specs",
    "totals",
    "unlike_alpaca_eval",
    "with_length_control",
]
__getattr__ = lazily(__name__)
