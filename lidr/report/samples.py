"""A few pairs of a run to look at: the first of each language and kind in the last iteration that has any."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lidr.errors import StoreError
from lidr.store import open_artifact

if TYPE_CHECKING:
    from lidr.report.run_state import RunState

_COLUMNS = (
    "pair_id",
    "language",
    "other_language",
    "kind",
    "iteration",
    "prompt_text",
    "chosen_text",
    "rejected_text",
    "margin",
)
_LOOKED_AT = 20_000  # pairs; the kinds and languages of a run all come up long before
_LONGEST = 600  # characters of a text


def sample_pairs(run: RunState, most: int = 6) -> list[dict[str, Any]]:
    """Pairs as they were trained on, their texts cut where they are long.

    Args:
        most: pairs.

    Returns:
        Rows of the columns of pairs; none where no pairs are made, or their files are not here.
    """
    for record in reversed(run.of("pairs")):
        try:
            batches = open_artifact(run.where(record)).batches(_LOOKED_AT, _COLUMNS)
            batch = next((batch for batch in batches if batch.num_rows), None)
        except StoreError:
            return []
        if batch is not None:
            return _spread(batch.to_pylist(), most)
    return []


def _spread(rows: list[dict[str, Any]], most: int) -> list[dict[str, Any]]:
    """One of each language and kind first, then the others in order."""
    first: dict[tuple[str, ...], dict[str, Any]] = {}
    for row in rows:
        first.setdefault((row["kind"], row["language"], row["other_language"]), row)
    ids = {row["pair_id"] for row in first.values()}
    chosen = [*first.values(), *(row for row in rows[:most] if row["pair_id"] not in ids)][:most]
    return [{name: cut(value) if name.endswith("_text") else value for name, value in row.items()} for row in chosen]


def cut(text: str) -> str:
    """A text that fits; what is cut says so."""
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} ... ({len(text):,} characters)"
