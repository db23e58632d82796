"""The rows that `measure` writes: one value for each prompt, test and language."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from lidr.rows import METADATA, RowType

Row = dict[str, Any]

Measures = RowType(
    "measures",
    pa.schema(
        {
            "test": pa.string(),
            "language": pa.string(),  # of the text that is looked at
            "other": pa.string(),  # the other language of a direction or pair; empty where there is none
            "kind": pa.string(),  # of a pair; empty where there is none
            "prompt_id": pa.string(),
            "value": pa.float64(),  # null: not scored
        },
        metadata=METADATA,
    ),
    key=("test", "language", "other", "kind", "prompt_id"),
)
"""What answers, translations and pairs are worth."""


def measurement(test: str, prompt_id: str, value: float | None, language: str, other: str = "", kind: str = "") -> Row:
    """One value."""
    return {"test": test, "language": language, "other": other, "kind": kind, "prompt_id": prompt_id, "value": value}
