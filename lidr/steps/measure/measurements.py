"""The rows that `measure` writes: one value for each prompt, test and language."""

from __future__ import annotations

from typing import Any

from lidr.rows import RowType

Row = dict[str, Any]

Measures = RowType(
    "measures",
    {
        "test": "string",
        "language": "string",  # of the text that is looked at
        "other": "string",  # the other language of a direction or pair; empty where there is none
        "kind": "string",  # of a pair, or the scorer that is looked at; empty where there is none
        "prompt_id": "string",
        "value": "float64",  # null: not scored
    },
    key=("test", "language", "other", "kind", "prompt_id"),
)
"""What answers, translations and pairs are worth."""


def measurement(test: str, prompt_id: str, value: float | None, language: str, other: str = "", kind: str = "") -> Row:
    """One value."""
    return {"test": test, "language": language, "other": other, "kind": kind, "prompt_id": prompt_id, "value": value}
