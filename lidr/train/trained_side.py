"""Which side of a pair is trained as chosen: as it was built, or, for negative controls, another.

    as_built   chosen stays chosen
    swapped    every chosen is trained as rejected, every rejected as chosen
    shuffled   each pair keeps or swaps its sides by a coin of its own: half of the signal points the wrong way

The pairs that are stored and published keep the sides they were built with: a control is a matter of training alone.

    >>> pairs = [{"pair_id": "1/bees", "chosen": "Honey and wax.", "rejected": "Honey."}]
    >>> next(with_sides(pairs, "swapped", seed=42))["chosen"]
    'Honey.'
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from lidr.train.training_spec import Sides


def with_sides(rows: Iterable[Mapping[str, Any]], sides: Sides, *, seed: int) -> Iterator[dict[str, Any]]:
    """Give pairs the sides that are trained.

    Args:
        rows: with `pair_id`, `chosen`, `rejected`.
        sides: see the top of this page.
        seed: of the coins of `shuffled`; the same pair gets the same side whatever stands beside it.
    """
    return (_swapped(row) if is_swapped(row["pair_id"], sides, seed=seed) else dict(row) for row in rows)


def is_swapped(pair_id: str, sides: Sides, *, seed: int) -> bool:
    """Whether this pair is trained with its sides swapped."""
    if sides == "shuffled":
        return bool(hashlib.sha256(f"{seed}/sides/{pair_id}".encode()).digest()[0] & 1)
    return sides == "swapped"


def _swapped(row: Mapping[str, Any]) -> dict[str, Any]:
    return {**row, "chosen": row["rejected"], "rejected": row["chosen"]}
