"""Pairs that are kept aside (`train.held_out`) while the others are trained.

In: a run's pairs and its trainer. Out: whose pairs are not trained, and what looks at them show.

whose_pairs    of which prompts they are
looks          looks at them in training, which may end it early and keep the policy of the best look
"""

from typing import TYPE_CHECKING

from lidr.lazy import lazily

if TYPE_CHECKING:
    from lidr.train.aside.looks import BEST, Looks
    from lidr.train.aside.whose_pairs import prompts_aside

__all__ = ["BEST", "Looks", "prompts_aside"]
__getattr__ = lazily(__name__)
