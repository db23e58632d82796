"""In which order the two outputs are shown, and how an answer is turned back.

The random order is alpaca_eval's (0.6.6), so that the same rows and seed give the same order: a function of the
instruction and the seed alone, 18 of 40 switched in a measured sample.
"""

from __future__ import annotations

import random

from lidr.evals.judge.verdicts import TIE, Comparison, JudgeMode, Order, Verdict


def is_switched(instruction: str, seed: int) -> bool:
    """Whether the second output is shown first.

    >>> [is_switched(text, 0) for text in ("Name three colours.", "What do bees make?", "蜜蜂は何を作りますか。")]
    [True, True, False]
    """
    text = "is_switched_outputs" + instruction + str(seed)
    draw = random.Random(text.encode("utf-8", "replace").decode())  # the same text unless it holds half characters
    return draw.choices([False, True], k=1)[0]


def orders_asked(comparison: Comparison, mode: JudgeMode, seed: int) -> tuple[bool, ...]:
    """The orders to ask, as `switched` of each; none for equal outputs, which are a tie."""
    if comparison.output_1 == comparison.output_2:
        return ()
    return (False, True) if mode == "logprob_swap" else (is_switched(comparison.instruction, seed),)


def shown(comparison: Comparison, *, switched: bool) -> tuple[str, str]:
    """The outputs as shown: first, second."""
    pair = (comparison.output_1, comparison.output_2)
    return (pair[1], pair[0]) if switched else pair


def unswitch(preference: float | None, *, switched: bool) -> float | None:
    """Turn a preference for what was shown second into one for output_2.

    >>> unswitch(1.25, switched=True)
    1.75
    """
    return 3.0 - preference if switched and preference is not None else preference


def verdict_of(key: str, orders: tuple[Order, ...]) -> Verdict:
    """The mean of the orders; none asked is a tie of equal outputs; one that failed leaves no verdict."""
    if not orders:
        return Verdict(key, TIE, identical=True)
    error = next((order.error for order in orders if order.error is not None), None)
    known = [order.preference for order in orders if order.preference is not None]
    if error is not None or len(known) != len(orders):
        return Verdict(key, None, error=error or "not judged", orders=orders)
    return Verdict(key, sum(known) / len(known), orders=orders)
