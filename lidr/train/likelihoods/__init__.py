"""How likely a policy finds texts, without training it.

In: a policy's folder, and pairs or answers to prompts. Out: log-probabilities, nats, tokenised as training does it.

pair_margins         of both sides of each pair, and their difference
answer_likelihoods   of given answers
"""

from typing import TYPE_CHECKING

from lidr.lazy import lazily

if TYPE_CHECKING:
    from lidr.train.likelihoods.answer_likelihoods import AnswerLogp, AskedLogp, answer_logps, load_to_look_at
    from lidr.train.likelihoods.pair_margins import margins

__all__ = [
    "AnswerLogp",
    "AskedLogp",
    "answer_logps",
    "load_to_look_at",
    "margins",
]
__getattr__ = lazily(__name__)
