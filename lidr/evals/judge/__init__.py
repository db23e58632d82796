"""The judge: which of two outputs is better, asked of any OpenAI-compatible server, or of one that lidr starts.

In: `Comparison`s and `JudgeSettings`. Out: a `Verdict` for each, with every order that was asked; what could not be
judged carries its reason. Answers are kept in a cache by the identity of the question.

    judge_template + answer_order -> question -> schedule (judge_client, judge_cache) -> answer_reading -> Verdict

`grading` asks for marks instead of comparisons; `agreement` says how far a judge can be trusted.
"""

from typing import TYPE_CHECKING

from lidr.lazy import lazily

if TYPE_CHECKING:
    from lidr.evals.judge.agreement import JudgeReport, calls_of, check_judge, items_of
    from lidr.evals.judge.grading import Grade, Grading, grade, grades_needed, grading_question
    from lidr.evals.judge.judge_choice import judge_of, meet_judge, served
    from lidr.evals.judge.judge_comparisons import IN_A_RUN, calls_needed, check_errors, judge, reasons
    from lidr.evals.judge.judge_template import grading_template
    from lidr.evals.judge.question import facts_of
    from lidr.evals.judge.settings import Judge, JudgeSettings
    from lidr.evals.judge.verdict_dataset import import_verdicts, verdict_table, write_verdicts
    from lidr.evals.judge.verdicts import Comparison, JudgeMode, Order, Verdict

__all__ = [
    "IN_A_RUN",
    "Comparison",
    "Grade",
    "Grading",
    "Judge",
    "JudgeMode",
    "JudgeReport",
    "JudgeSettings",
    "Order",
    "Verdict",
    "calls_needed",
    "calls_of",
    "check_errors",
    "check_judge",
    "facts_of",
    "grade",
    "grades_needed",
    "grading_question",
    "grading_template",
    "import_verdicts",
    "items_of",
    "judge",
    "judge_of",
    "meet_judge",
    "reasons",
    "served",
    "verdict_table",
    "write_verdicts",
]
__getattr__ = lazily(__name__)
