"""Families go through the whole chain, or are refused, as docs/models.md says; all of them: `make prove families`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.families import family_proof, family_table
from tests.families.chain import CELLS, walk
from tests.families.shapes import FAMILIES
from tests.families.warm_server import warm_workers
from tests.publishing import RunningHub

FOR_CI = (
    "llama-3.2",  # the date of today
    *("qwen3", "r1-qwen"),  # a switch; a form for training
    *("qwen3.5", "gemma-3"),  # wrappers with towers
    *("gpt-oss", "granite-4"),  # channels and experts; state spaces
    "command",  # several tokens end an answer; named templates
)
"""One of each shape that breaks pipelines; about 13 s of a CPU each."""


@pytest.fixture(scope="module", autouse=True)
def _warm() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")  # a worker with another environment would be no fork
        with warm_workers():
            yield


@pytest.mark.parametrize("name", FAMILIES if os.environ.get("LIDR_PROVE") else FOR_CI)
def test_a_family_goes_as_far_as_the_table_says(name: str, tmp_path: Path, running: RunningHub) -> None:
    recorded = family_proof.read()["families"][name]["cells"]
    assert walk(name, tmp_path, running.target) == {cell: recorded[cell] for cell in CELLS}


def test_nothing_that_was_proved_is_wrong() -> None:
    families = family_proof.read()["families"]
    assert {*FOR_CI} <= {*families}, "make prove families"
    assert {name: entry for name, entry in families.items() if "wrong" in str(entry["cells"])} == {}


def test_the_table_is_fresh() -> None:
    assert family_table.PAGE.read_text(encoding="utf-8") == family_table.written(), "make docs"
