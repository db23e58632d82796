"""Tokens into seconds, from a card's figures: an upper bound of the work over what a card is assumed to reach.

Writing is bound by memory (each token reads the weights, and the keys and values of all texts at once) or by arithmetic
(2 FLOP a parameter and token). Training is bound by arithmetic: a forward pass costs 2 FLOP a parameter and token, the
way back 4, of which LoRA spares the 2 of the weights' own gradients; recomputing activations costs 2 more, the
reference's log-probabilities 2. Of a mixture of experts a token goes through some of the parameters alone.

What a card reaches of its figures is assumed, not measured: `ARITHMETIC` and `BANDWIDTH`.
"""

from __future__ import annotations

from lidr.costs.cards import Card
from lidr.costs.memory import Training, cache_bytes, frozen_bytes, weight_bytes
from lidr.costs.model_shape import ModelShape

ARITHMETIC = 0.35
"""Share of a card's dense FLOP/s that is assumed to be reached."""
BANDWIDTH = 0.6
"""Share of its bandwidth that is assumed to be reached."""


def generation_seconds(
    shape: ModelShape,
    card: Card,
    dtype: str,
    *,
    tokens: float,
    at_once: int,
    length: int,
    cards: int = 1,
    stages: int = 1,
    share: float = 0.9,
    packed: str = "",
    cache_dtype: str = "",
) -> float:
    """How long a model writes that lies on one card, or is shared by several.

    Args:
        shape: the model.
        card: which card.
        dtype: of weights, keys and values, and of the arithmetic.
        tokens: written in all.
        at_once: texts that are written at once; fewer where keys and values of so many do not fit.
        length: of a text, tokens; while it is written half of it stands on the average.
        cards: that share the weights, and keys and values; what they say to each other is not counted.
        stages: groups of layers that lie on cards of their own; each works on a part of the texts at a time, and reads
            its weights for each part.
        share: of a card's memory that is taken.
        packed: how the weights are packed (`PACKED`); empty: they are not.
        cache_dtype: of keys and values, where it is another one.
    """
    weights = frozen_bytes(shape, dtype, packed) / cards
    kept = cache_bytes(shape, cache_dtype or dtype, length, cards, stages) / 2
    room = max(card.memory * 1e9 * share - weights, kept)
    texts = max(min(at_once, int(room / kept)), 1)
    reading = (weights * stages + texts * kept) / (card.bandwidth * 1e9 * BANDWIDTH)
    counting = 2 * shape.active * texts / (card.flops(dtype) * ARITHMETIC * cards)
    return tokens / texts * max(reading, counting)


def reading_seconds(shape: ModelShape, card: Card, dtype: str, *, tokens: int, passes: int) -> float:
    """How long one card reads texts of so many tokens in all, in so many forward passes, each of which reads the
    weights; 0 passes: so many texts in one that the weights do not count.
    """
    reading = passes * weight_bytes(shape, dtype) / (card.bandwidth * 1e9 * BANDWIDTH)
    return max(reading, 2 * tokens * shape.active / (card.flops(dtype) * ARITHMETIC))


def training_seconds(shape: ModelShape, card: Card, dtype: str, training: Training, *, tokens: int) -> float:
    """How long one card trains on so many tokens, both sides of every pair in every epoch counted."""
    each = 4 + (0 if training.adapter else 2) + (2 if training.checkpointing else 0) + (2 if training.compares else 0)
    return tokens * each * shape.active / (card.flops(dtype) * ARITHMETIC)
