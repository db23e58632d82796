"""What a step's process holds does not grow with its rows: 20,000 against 100,000, each step in a process of its own.

Allocators give back at once what was freed, so that peaks are what is held and differ little from run to run.
`make prove scale` compares 100,000 with 1,000,000 rows as people run them.
"""

from __future__ import annotations

import pytest

from tests.benchmarks.memory import GOAL_BYTES, SIZES, peaks, write_world

AT_ONCE = {
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": "65536",
    "MALLOC_TRIM_THRESHOLD_": "65536",
    "_RJEM_MALLOC_CONF": "dirty_decay_ms:0,muzzy_decay_ms:0",  # polars'
    "POLARS_MAX_THREADS": "1",
}
FILLING = {"generate": 500, "translate": 400}
"""Bytes of a further row where what is asked ahead is not full yet at the smaller size (docs/measured.md: it ends)."""


@pytest.mark.slow
def test_a_further_row_of_two_hundred_characters_takes_a_step_at_most_so_many_bytes(tmp_path, monkeypatch):
    for name, value in AT_ONCE.items():
        monkeypatch.setenv(name, value)
    few, many = (dict(peaks(write_world(tmp_path / str(rows), rows), skip=("tokenise",))) for rows in SIZES)
    slopes = {step: (many[step].bytes - few[step].bytes) / (SIZES[1] - SIZES[0]) for step in few}
    assert {step: slope for step, slope in slopes.items() if slope > FILLING.get(step, GOAL_BYTES)} == {}
