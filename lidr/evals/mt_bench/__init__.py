"""MT-Bench (Zheng et al. 2023, arXiv 2306.05685) in any language: two turns, a judge grades each answer from 0 to 10.

In: the user's questions, an engine, a judge. Out: a results folder, as of any other benchmark. lm-eval asks only one
turn, so the conversations are held by one of lidr's engines.
"""

from typing import TYPE_CHECKING

from lidr.lazy import lazily

if TYPE_CHECKING:
    from lidr.evals.mt_bench.mt_bench_run import asked, grade_again, mt_bench_identity, read_questions, run_mt_bench
    from lidr.evals.mt_bench.questions import TURNS

__all__ = [
    "TURNS",
    "asked",
    "grade_again",
    "mt_bench_identity",
    "read_questions",
    "run_mt_bench",
]
__getattr__ = lazily(__name__)
