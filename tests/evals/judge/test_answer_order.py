"""Which output is shown first, and what becomes of two orders."""

from __future__ import annotations

import random

import pytest

from lidr.evals.judge import Comparison, JudgeSettings, Order
from lidr.evals.judge.answer_order import is_switched, orders_asked, unswitch, verdict_of
from lidr.evals.judge.judge_template import comparing_template
from lidr.evals.judge.question import questions


def test_the_random_order_is_alpaca_evals():
    texts = [f"Nenne {i} Farben." for i in range(400)]
    for seed in (0, 7):
        wanted = [random.Random(f"is_switched_outputs{text}{seed}").choices([False, True], k=1)[0] for text in texts]
        assert [is_switched(text, seed) for text in texts] == wanted
        assert 150 < sum(wanted) < 250


def test_the_order_depends_on_the_instruction_alone():
    one, other = Comparison("1", "Why?", "a", "b"), Comparison("2", "Why?", "c", "d")
    assert orders_asked(one, "logprob", 0) == orders_asked(other, "logprob", 0)


def test_equal_outputs_are_a_tie_and_nobody_is_asked():
    same = Comparison("1", "Why?", "a", "a")
    assert orders_asked(same, "logprob_swap", 0) == ()
    verdict = verdict_of("1", ())
    assert (verdict.preference, verdict.identical, verdict.error) == (1.5, True, None)


def test_a_swap_asks_both_orders_and_takes_their_mean():
    settings = JudgeSettings(model="m", base_url="http://h/v1")
    asked = questions(Comparison("1", "Why?", "a", "b"), settings, comparing_template(settings))
    assert [question.switched for question in asked] == [False, True]
    assert asked[0].sha256 != asked[1].sha256
    assert verdict_of("1", (Order(False, 1.25), Order(True, 1.75))).preference == 1.5


def test_half_a_swap_is_no_verdict_and_keeps_its_error():
    verdict = verdict_of("1", (Order(False, 2.0), Order(True, None, error="no answer: 6 tries")))
    assert (verdict.preference, verdict.error) == (None, "no answer: 6 tries")
    assert verdict.orders[0].preference == 2.0


@pytest.mark.parametrize(("shown", "switched", "meant"), [(1.0, True, 2.0), (1.25, True, 1.75), (1.25, False, 1.25)])
def test_a_switched_answer_is_turned_back(shown, switched, meant):
    assert unswitch(shown, switched=switched) == meant


def test_what_changes_the_answer_is_another_question():
    comparison = Comparison("1", "Why?", "a", "b")
    base = JudgeSettings(model="m", base_url="http://h/v1", mode="logprob")

    def identity(**values: object) -> str:
        settings = base.model_copy(update=values)
        return questions(comparison, settings, comparing_template(settings))[0].sha256

    changes = [
        {"model": "n"},
        {"base_url": "http://g/v1"},
        {"mode": "text"},
        {"temperature": 0.5},
        {"max_tokens": 2},
        {"top_logprobs": 20},
        {"repeat": 1},
        {"digest": "vllm/float32/ab"},
        {"token_limit": "max_completion_tokens"},
    ]
    assert len({identity(), *(identity(**change) for change in changes)}) == 1 + len(changes)
    for same in ({"concurrency": 1}, {"cache": "x"}, {"retries": 0}, {"max_calls": 1}, {"timeout_s": 1.0}):
        assert identity(**same) == identity()
    local = {"digest": "vllm/float32/ab"}
    assert identity(**local) == identity(**local, base_url="http://127.0.0.1:4711/v1")
