"""Micro-batches that several processes work on at once, also where the last ones are not full.

The micro-batches of an epoch are dealt out in rounds, one to each process. accelerate fills the last round up with
pairs from the start of the epoch, which would be trained twice. Here each process keeps those that are its own:

    7 pairs, micro-batches of 2, 3 processes    process 0    1        2
                                        round 1    0 1       2 3      4 5
                                        round 2    6 (0)    (1 2)    (3 4)

A process that has none in a round keeps one pair that weighs nothing, since all must go through the model together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from lidr.rows import WEIGHT
from lidr.train.loss import OptimiserBatch


class Rounds:
    """The rounds of one optimiser step, the first of which is worked on.

    Attributes:
        whole: the optimiser batch; its parts are the micro-batches that have pairs.
        own: pairs that each process has in the micro-batch of this round.
    """

    def __init__(self, pairs: Sequence[Sequence[int]], size: Sequence[float], process: int = 0) -> None:
        """Take the pairs of each round and process, what `size_of` says of all of them, and which process this is."""
        counts = [count for own in pairs for count in own]
        weighed, chosen_tokens = size
        self.whole = OptimiserBatch(weighed, chosen_tokens, parts=sum(count > 0 for count in counts))
        self._pairs = sum(counts)
        self.own = pairs[0]
        self._rounds, self._next, self._process = pairs, 0, process

    def advance(self) -> None:
        """Go on to the next round."""
        self.own = self._rounds[self._next]
        self._next += 1

    @property
    def weight(self) -> float:
        """Of this process's loss, a term of the mean over `whole.parts`, in the mean over all micro-batches."""
        return len(self._rounds) * len(self.own) / self.whole.parts if self.own[self._process] else 0.0

    @property
    def share(self) -> float:
        """Pairs of this round against those of the mean round: 1 unless the last one is smaller."""
        return sum(self.own) * len(self._rounds) / self._pairs


def own_pairs(pairs: int, *, micro_batch: int, processes: int) -> list[int]:
    """How many pairs of the last round of an epoch are each process's own.

    Args:
        pairs: of the epoch.

    >>> own_pairs(7, micro_batch=2, processes=3)
    [1, 0, 0]
    """
    left = pairs % (micro_batch * processes) or micro_batch * processes
    return [min(max(left - process * micro_batch, 0), micro_batch) for process in range(processes)]


def size_of(batch: Mapping[str, torch.Tensor], own: int | None = None) -> torch.Tensor:
    """Pairs of a collated micro-batch, or of its first ones, and tokens of their chosen completions: (2,), whole
    numbers; where pairs have weights, each counts as often as its weight says.

    >>> batch = {"completion_mask": torch.tensor([[0, 1, 1], [0, 1, 0], [0, 1, 0], [0, 1, 1]])}
    >>> size_of(batch).tolist(), size_of(batch | {"weight": torch.tensor([0.5, 3.0])}).tolist()
    ([2, 3], [3.5, 4.0])
    """
    lengths = batch["completion_mask"].chunk(2)[0][:own, 1:].sum(dim=1)  # (own,)  tokens
    weights = batch[WEIGHT][:own] if WEIGHT in batch else torch.ones_like(lengths)
    return torch.stack([weights.sum(), (weights * lengths).sum()])


def first_pairs(batch: Mapping[str, torch.Tensor], count: int) -> dict[str, torch.Tensor]:
    """The first pairs of a collated micro-batch.

    Args:
        batch: tensors of (2 * pairs, tokens), chosen first, and of (pairs,).
    """
    rows = len(batch["input_ids"])
    return {
        name: torch.cat([side[:count] for side in tensor.chunk(2)]) if len(tensor) == rows else tensor[:count]
        for name, tensor in batch.items()
    }


@contextmanager
def gathering(accelerator: Any, own: Sequence[int]) -> Iterator[None]:
    """Let an accelerator gather what is one number a pair, of processes that have unequal numbers of pairs.

    Args:
        accelerator: whose `gather` and `gather_for_metrics` are others until the block ends.
        own: pairs of each process.
    """
    if len(own) == 1:
        yield
        return
    gather, most, count = accelerator.gather, max(own), own[accelerator.process_index]
    is_own = torch.tensor([place < pairs for pairs in own for place in range(most)])

    def uneven(tensor: torch.Tensor) -> torch.Tensor:
        if not tensor.dim():  # a sum over a process's tokens
            return gather(tensor if count else torch.zeros_like(tensor))  # type: ignore[no-any-return]
        padded = tensor.new_zeros(most, *tensor.shape[1:])
        padded[:count] = tensor[:count]
        return gather(padded)[is_own.to(tensor.device)]  # type: ignore[no-any-return]

    accelerator.gather = accelerator.gather_for_metrics = uneven
    try:
        yield
    finally:
        del accelerator.gather, accelerator.gather_for_metrics
