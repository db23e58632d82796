"""Which pairs are kept aside: those of some prompts, in every language and of every kind.

A prompt's place is a hash of the run's seed and its id, and the first `share` of the prompts go aside. So the split is
the same whatever the order of the rows, and a prompt that is dropped moves one other prompt at most.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import pyarrow.parquet as pq

from lidr.errors import RowError, TrainError
from lidr.train.training_spec import HeldOutSpec


def prompts_aside(files: Sequence[str], held_out: HeldOutSpec, *, seed: int) -> frozenset[str]:
    """Choose the prompts that are kept aside: at least one, and at most all but one.

    Args:
        files: Parquet files of the pairs table.
        held_out: its share of the prompts, rounded.
        seed: of the run.

    Raises:
        RowError: a file lacks the column prompt_id, or a row has none.
        TrainError: the pairs are of fewer than two prompts.
    """
    prompts = {prompt for file in files for prompt in _prompts_of(file)}
    if len(prompts) < 2:
        raise TrainError(
            f"train.held_out: the pairs are of {len(prompts)} prompt(s), and one at least must go aside and another be "
            "trained: give more prompts, or take held_out out"
        )
    count = max(1, round(held_out.share * len(prompts)))
    return frozenset(sorted(prompts, key=lambda prompt: _place(prompt, seed))[:count])


def _place(prompt: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}/held_out/{prompt}".encode()).digest()


def _prompts_of(file: str) -> set[str]:
    if "prompt_id" not in pq.read_schema(file).names:
        raise RowError(f"{file}: the pairs table lacks the column prompt_id, by which train.held_out keeps pairs aside")
    prompts = set(pq.read_table(file, columns=["prompt_id"])["prompt_id"].unique().to_pylist())
    if None in prompts:
        raise RowError(f"{file}: a row has no prompt_id, by which train.held_out keeps pairs aside; write one")
    return prompts
