"""What work costs before anybody has done it: time, memory, disk. Pure arithmetic on published figures.

In: a model's shape, a card's figures, tokens. Out: seconds and bytes, always as estimates; what was measured stands in
records (`lidr.store.KnownRecords`) and is never mixed with these.

    cards.py          the figures of graphics cards, and where they are from
    machine.py        what kind of machine this is
    model_shape.py    how many parameters a model has, and how it is built
    speed.py          tokens -> seconds
    memory.py         weights, keys and values, training -> bytes
"""

from typing import TYPE_CHECKING

from lidr.lazy import lazily

if TYPE_CHECKING:
    from lidr.costs.cards import CARDS, SOURCE, Card, card_named
    from lidr.costs.machine import Machine, main_memory, this_machine
    from lidr.costs.memory import (
        BYTES,
        Training,
        cache_bytes,
        frozen_bytes,
        saved_bytes,
        trained_parameters,
        training_bytes,
        weight_bytes,
    )
    from lidr.costs.model_shape import ModelShape, can_share, heads_in, shape_in, shape_named
    from lidr.costs.speed import ARITHMETIC, BANDWIDTH, generation_seconds, reading_seconds, training_seconds

__all__ = [
    "ARITHMETIC",
    "BANDWIDTH",
    "BYTES",
    "CARDS",
    "SOURCE",
    "Card",
    "Machine",
    "ModelShape",
    "Training",
    "cache_bytes",
    "can_share",
    "card_named",
    "frozen_bytes",
    "generation_seconds",
    "heads_in",
    "main_memory",
    "reading_seconds",
    "saved_bytes",
    "shape_in",
    "shape_named",
    "this_machine",
    "trained_parameters",
    "training_bytes",
    "training_seconds",
    "weight_bytes",
]
__getattr__ = lazily(__name__)
