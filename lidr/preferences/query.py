"""Which of many pairs somebody wants: languages, kinds, iterations, a least margin. Works on Arrow batches.

A pair's language is its non-dominant one, of whichever kind it is: `de` means the German pairs and the English ones
that they are the other side of. Pairs of one language alone, which nothing was translated for, are of that language.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from lidr.errors import RowError

NO_MARGIN = (
    "nobody has scored them, so a least margin says nothing about them. Leave --min-margin out, or score them first: "
    "give each row score_chosen, score_rejected and margin (their difference) from a judge or a reward model, as "
    "Parquet; a set with scores under other names needs a column map, as score_chosen=NAME"
)


@dataclass(frozen=True)
class PairQuery:
    """Which pairs pass; what is empty or None asks for nothing.

    Args:
        languages: non-dominant languages.
        kinds: dominant, non_dominant, sampled.
        iterations: numbers of iterations, from 1.
        min_margin: smallest margin that passes, in the unit of the scores.

    Example:
        >>> batch = pa.record_batch({"language": ["en", "de", "fr"], "other_language": ["de", "en", "en"],
        ...     "kind": ["dominant", "non_dominant", "non_dominant"]})
        >>> PairQuery(languages=("de",)).of(batch)["language"].to_pylist()
        ['en', 'de']
    """

    languages: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    iterations: tuple[int, ...] = ()
    min_margin: float | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that the question needs."""
        needed = {"kind": self.languages or self.kinds, "language": self.languages, "other_language": self.languages}
        found = [name for name, asked in needed.items() if asked]
        margin = ["margin"] if self.min_margin is not None else []
        return (*found, *(["iteration"] if self.iterations else []), *margin)

    def of(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The rows that pass, in their order; all of them without a copy.

        Raises:
            RowError: a least margin is asked of rows that have none.
        """
        mask = self._mask(batch)
        if mask is None or pc.all(mask).as_py():
            return batch
        return batch.filter(mask)

    def mask(self, batch: pa.RecordBatch) -> Any:
        """For each row, whether it passes."""
        mask = self._mask(batch)
        return pa.array([True] * batch.num_rows, pa.bool_()) if mask is None else pc.fill_null(mask, False)

    def _mask(self, batch: pa.RecordBatch) -> Any:
        masks = []
        if self.languages:
            masks.append(is_in(language_of(batch), self.languages))
        if self.kinds:
            masks.append(is_in(batch["kind"], self.kinds))
        if self.iterations:
            masks.append(is_in(batch["iteration"], self.iterations))
        if self.min_margin is not None:
            self._refuse_unscored(batch, masks)
            masks.append(pc.fill_null(pc.greater_equal(batch["margin"], self.min_margin), False))
        if not masks:
            return None
        mask = masks[0]
        for other in masks[1:]:
            mask = pc.and_(mask, other)
        return mask

    def _refuse_unscored(self, batch: pa.RecordBatch, masks: Sequence[Any]) -> None:
        unscored = pc.is_null(batch["margin"])
        for mask in masks:
            unscored = pc.and_(unscored, mask)
        if count := pc.sum(unscored).as_py():
            raise RowError(f"{count} of the first {batch.num_rows} pairs have no margin: {NO_MARGIN}")


def language_of(batch: pa.RecordBatch | pa.Table) -> Any:
    """The non-dominant language of each pair."""
    is_dominant = pc.equal(batch["kind"], "dominant")
    return pc.if_else(pc.fill_null(is_dominant, False), batch["other_language"], batch["language"])


def is_in(column: Any, values: Sequence[Any]) -> Any:
    """Whether each value is one of these; null is none of them."""
    return pc.is_in(column, value_set=pa.array(list(values), column.type))
