"""From values by item to the array that statistics are made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from lidr.errors import EvaluationError
from lidr.evals.compare.metrics import Metric
from lidr.evals.reader import Values, in_order, item_values
from lidr.evals.statistics import Array, Panel
from lidr.evals.win_rate import lc_contributions

if TYPE_CHECKING:
    import pyarrow as pa


def values_of(scores: pa.Table, one: Metric) -> dict[str, Values]:
    """Task -> item -> what the item says of a metric; of the length-controlled rate its contribution.

    Args:
        scores: rows of SCORES.
    """
    if not one.is_fitted:
        return item_values(scores, one.item)
    parts = [item_values(scores, name) for name in ("preference", "length", "reference_length")]
    found: dict[str, Values] = {}
    for task, preferences in parts[0].items():
        items = [item for item in preferences if all(part[task].get(item) is not None for part in parts[1:])]
        columns = [[part[task][item] for item in items] for part in parts]
        found[task] = dict(zip(items, lc_contributions(*columns), strict=True))
    return found


def panel_of(models: tuple[str, ...], languages: Sequence[str], values: list[dict[str, Values]], one: Metric) -> Panel:
    """Lay values side by side, in the unit of the score.

    Args:
        values: for each model language -> item -> value; an item that a language lacks counts as not scored there.

    Raises:
        EvaluationError: there is no item.
    """
    items = in_order(item for by_language in values for of in by_language.values() for item in of)
    if not items:
        raise EvaluationError(f"{one.name}: no item is in all evaluations, so there is nothing to compare")
    cells: Array = np.full((len(models), len(items), len(languages)), np.nan)
    place = {item: i for i, item in enumerate(items)}
    for m, by_language in enumerate(values):
        for column, code in enumerate(languages):
            for item, value in by_language[code].items():
                cells[m, place[item], column] = np.nan if value is None else value * one.scale
    return Panel(models, tuple(languages), items, cells, one.scaled_span)
