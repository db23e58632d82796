"""Pairs that cannot be read or exported: what is said of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lidr.errors import HubError, RowError, StoreError
from lidr.hub.exports import export_pairs
from lidr.hub.pairs_read import Mapped, column_map
from lidr.hub.pairs_source import open_pairs
from lidr.transforms.wanted import Wanted


@pytest.fixture
def root(world, monkeypatch) -> Path:
    monkeypatch.setenv("LIDR_STORE", str(world.folder.parents[1]))
    return world.folder.parents[1]


@pytest.mark.parametrize("side", ["chosen", "rejected"])
def test_a_column_map_without_a_side_is_refused(side):
    with pytest.raises(RowError, match=r"^column map: chosen and rejected must each be a column$"):
        column_map({"prompt": "q", side: None})


def test_a_step_that_writes_no_pairs_is_named_with_what_it_holds(root):
    with pytest.raises(
        StoreError, match=r"^iter_1/generate holds responses, not pairs; name a step that writes pairs$"
    ):
        open_pairs("run:scripted/iter_1/generate")


def test_a_run_or_a_version_that_is_not_in_the_store_is_said(root):
    with pytest.raises(StoreError, match=f"^run:wax: the store {root} has no run wax$"):
        open_pairs("run:wax")
    with pytest.raises(StoreError, match=r"^run:scripted@9\.9\.9: scripted has the versions 0\.1\.0$"):
        open_pairs("run:scripted@9.9.9")


def test_a_run_that_stopped_before_its_pairs_says_how_far_to_run(root, tmp_path):
    (step := tmp_path / "scripted" / "0.1.0" / "iter_1" / "prompts").parent.mkdir(parents=True)
    step.symlink_to(root / "scripted" / "0.1.0" / "iter_1" / "prompts")
    with pytest.raises(StoreError, match=r"^run:scripted@0\.1\.0 has no pairs yet: run its recipe at least until"):
        open_pairs("run:scripted", store=tmp_path)


def test_a_table_that_is_cut_short_is_named(tmp_path):
    (path := tmp_path / "cut.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(RowError, match=r"cut\.parquet: no rows in it that can be read: .*[Pp]arquet"):
        _ = open_pairs(str(path)).columns


def test_an_export_that_would_be_empty_is_refused_and_leaves_nothing(tmp_path):
    rows = [{"prompt": "Tea?", "chosen": "Yes.", "rejected": "No.", "m": 0.5}]
    (tmp_path / "set.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    mapped = Mapped(column_map({"margin": "m"}), "de")
    with pytest.raises(HubError, match=r"^set\.jsonl: no pair is left of what was asked for; ask for less$"):
        export_pairs(
            open_pairs(str(tmp_path / "set.jsonl")), Wanted(min_margin=1.0), "trl", tmp_path / "x", mapped=mapped
        )
    assert [path.name for path in tmp_path.iterdir()] == ["set.jsonl"]


def test_a_later_file_that_lacks_a_column_of_the_first_is_named(tmp_path):
    for number, names in enumerate((["q", "a", "b"], ["q", "a"])):
        row = json.dumps(dict.fromkeys(names, "Tea.")) + "\n"
        (tmp_path / f"train-{number}.jsonl").write_text(row)
    source = open_pairs(str(tmp_path))
    with pytest.raises(RowError, match=r"train-1\.jsonl: no column 'b'; its columns: q, a$"):
        list(source.batches(8, ["q", "a", "b"]))
