"""Token pairs in a file: written once as they are made, then mapped into memory, however many there are.

    <work>/tokens/tokens-<digest>.arrow    pair_id, language, kind, prompt_ids, chosen_ids, rejected_ids

Weights of pairs stay in memory, eight bytes each, where some pair does not count 1; without them the file says it all.
The trainer takes rows from the mapped file, so what it holds of it the system may take back. Whoever goes through all
pairs reads the file from front to back and holds a batch.
"""

from __future__ import annotations

import hashlib
import os
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from itertools import islice, repeat
from pathlib import Path
from typing import overload

import pyarrow as pa
from datasets import Dataset, concatenate_datasets

from lidr.rows import WEIGHT
from lidr.train.tokens import TokenPair

_AT_ONCE = 1_000  # pairs
_IDS = pa.list_(pa.int32())
_SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("pair_id", "language", "kind")),
        *((name, _IDS) for name in ("prompt_ids", "chosen_ids", "rejected_ids")),
    ]
)


class TokenTable(Sequence[TokenPair]):
    """Token pairs of a file, in its order.

    Attributes:
        weights: how much each pair counts; None where all count 1.
    """

    def __init__(self, path: Path, weights: array[float] | None = None) -> None:
        """Map a file that `written` made."""
        self.weights = weights
        self._path = path
        self._rows = Dataset.from_file(str(path))

    @classmethod
    def written(cls, folder: Path, pairs: Iterable[TokenPair]) -> TokenTable:
        """Write pairs as they come. Several processes may write the same; other pairs make another file."""
        folder.mkdir(parents=True, exist_ok=True)
        partial = folder / f"tokens-{os.getpid()}.partial"
        left, weights = iter(pairs), array("d")
        with pa.OSFile(str(partial), "wb") as file, pa.ipc.new_stream(file, _SCHEMA) as stream:
            while some := list(islice(left, _AT_ONCE)):
                stream.write_batch(pa.RecordBatch.from_pylist([asdict(pair) for pair in some], _SCHEMA))
                weights.extend(pair.weight for pair in some)
        with partial.open("rb") as written:
            digest = hashlib.file_digest(written, "sha256").hexdigest()
        path = partial.replace(folder / f"tokens-{digest[:16]}.arrow")
        return cls(path, weights if any(weight != 1.0 for weight in weights) else None)

    def dataset(self, **columns: str) -> Dataset:
        """The mapped rows under other names: name -> the column that it shows; one may be shown twice. Where pairs have
        weights, so has it: `weight`.
        """
        shown = {new: self._rows.select_columns([old]) for new, old in columns.items()}
        parts = [
            one if one.column_names == [new] else one.rename_column(columns[new], new) for new, one in shown.items()
        ]
        if self.weights is not None:
            parts.append(Dataset(pa.table({WEIGHT: pa.array(self.weights, pa.float64())})))
        return concatenate_datasets(parts, axis=1)

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[TokenPair]:
        weights = repeat(1.0) if self.weights is None else iter(self.weights)
        with pa.OSFile(str(self._path)) as file:
            for batch in pa.ipc.open_stream(file):
                for row in batch.to_pylist():
                    yield TokenPair(**row, weight=next(weights))

    @overload
    def __getitem__(self, place: int) -> TokenPair: ...
    @overload
    def __getitem__(self, place: slice) -> list[TokenPair]: ...
    def __getitem__(self, place: int | slice) -> TokenPair | list[TokenPair]:
        if isinstance(place, slice):
            return [self[one] for one in range(len(self))[place]]
        return TokenPair(**self._rows[place], weight=1.0 if self.weights is None else self.weights[place])
