"""docs/evaluation.md names every value of an item and every score that the code gives, and what a verdict holds."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import lidr.evals.compare.head_to_head_judging as head_to_head_judging
from lidr.evals.judge.verdicts import Order, Verdict
from lidr.evals.mgsm.mgsm_task import METRICS
from lidr.evals.model_outputs import Pair
from lidr.evals.mt_bench import mt_bench_grading
from lidr.evals.mt_bench.conversations import Conversation
from lidr.evals.mt_bench.questions import Question
from lidr.evals.x_alpacaeval import x_alpacaeval_task

VERDICT = Verdict("0", 1.2)


def section(start: str, end: str) -> str:
    return Path("docs/evaluation.md").read_text(encoding="utf-8").partition(start)[2].partition(end)[0]


SCORES = section("## Every column", "\n## ")
OF_MGSM, _, OF_OTHERS = SCORES.partition("Of X-AlpacaEval")


def test_every_value_and_score_of_mgsm_is_in_its_table():
    assert [name for name in METRICS if f"| `{name}` |" not in OF_MGSM] == []


def test_every_value_and_score_of_x_alpacaeval_is_in_its_table():
    values = x_alpacaeval_task.score({"reference": "It is so."}, "It is.", language="en", verdict=VERDICT).values
    names = {*values, *x_alpacaeval_task.summarise([values])} - set(METRICS)  # the table says "as for MGSM" of these
    assert [name for name in names if f"`{name}`" not in OF_OTHERS] == []


def test_every_value_and_score_of_mt_bench_and_of_two_checkpoints_is_named():
    talk = Conversation("en", Question("0", "writing", ("Say it.", "Again.")), error="refused")
    graded = mt_bench_grading._values(talk, judged=True)
    pair = Pair("0", "Say it.", "It is so.", "It is.")
    judged = head_to_head_judging._values(pair, VERDICT, 0.0)
    names = {*graded, *mt_bench_grading.summarise([graded]), *judged, *head_to_head_judging.summarise([judged])}
    assert [name for name in names - set(METRICS) if f"`{name}`" not in OF_OTHERS] == []


def test_every_key_of_an_order_is_explained():
    said = section("Each of `verdict.orders`", "\n### ")
    assert [one.name for one in dataclasses.fields(Order) if f"`{one.name}`" not in said] == []
