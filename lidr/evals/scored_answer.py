"""What scoring one answer gives: numbers for the tables, and the detail behind them."""

from __future__ import annotations

from typing import Any, NamedTuple


class Scored(NamedTuple):
    """One scored answer: metric -> value (None: not scored, which is not wrong), and how it came about."""

    values: dict[str, float | None]
    detail: dict[str, Any]
