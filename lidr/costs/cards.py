"""Graphics cards: memory, bandwidth and dense arithmetic, as NVIDIA's data sheets state them.

Dense figures, without sparsity. What a card reaches in practice is lower: see `lidr.costs.speed`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Card:
    """One kind of graphics card.

    Args:
        name: as people and recipes say it.
        memory: GB (1e9 bytes).
        bandwidth: of the memory, GB/s.
        half: dense TFLOP/s in bfloat16 with float32 sums; on cards without bfloat16 in float16.
        single: TFLOP/s in float32.
    """

    name: str
    memory: int
    bandwidth: int
    half: float
    single: float

    def flops(self, dtype: str) -> float:
        """Dense FLOP/s in a number format."""
        return (self.single if dtype == "float32" else self.half) * 1e12


SOURCE = "NVIDIA's data sheet"

CARDS = (
    Card("T4", 16, 320, 65, 8.1),
    Card("V100", 32, 900, 125, 15.7),
    Card("A10", 24, 600, 125, 31.2),
    Card("L4", 24, 300, 121, 30.3),
    Card("RTX 3090", 24, 936, 71, 35.6),
    Card("RTX 4090", 24, 1008, 165, 82.6),
    Card("RTX A6000", 48, 768, 155, 38.7),
    Card("A40", 48, 696, 150, 37.4),
    Card("L40S", 48, 864, 362, 91.6),
    Card("A100 40GB", 40, 1555, 312, 19.5),
    Card("A100 80GB", 80, 2039, 312, 19.5),
    Card("H100 PCIe", 80, 2000, 756, 51),
    Card("H100 NVL", 94, 3900, 835, 60),
    Card("H100", 80, 3350, 989, 67),
    Card("H200", 141, 4800, 989, 67),
    Card("B200", 180, 8000, 2250, 80),
)
"""H100 is the SXM module, A100 80GB too."""


def card_named(text: str) -> Card | None:
    """The card that a text names, whatever stands around it; None where none is known by it.

    >>> card_named("NVIDIA H100 80GB HBM3").name, card_named("nvidia a100-sxm4-80gb").name, card_named("A100").name
    ('H100', 'A100 80GB', 'A100 80GB')
    >>> card_named("GeForce GTX 970") is None
    True
    """
    words = _words(text)
    fits = [card for card in CARDS if _words(card.name) <= words]
    if not fits and "a100" in words:
        return next(card for card in CARDS if card.name == "A100 80GB")
    return max(fits, key=lambda card: len(card.name.split()), default=None)


def _words(text: str) -> set[str]:
    return set(re.findall(r"[a-z]+\d+[a-z]*|\d+gb|\d{4,}|[a-z]+", text.lower()))
