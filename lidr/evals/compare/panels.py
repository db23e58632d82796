"""From values by item to the array that statistics are made of."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lidr.errors import EvaluationError
from lidr.evals.compare.metrics import Metric
from lidr.evals.reader import Values, in_order
from lidr.evals.statistics import Array, Panel


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
