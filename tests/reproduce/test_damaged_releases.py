"""Whatever somebody changed in a release: a verdict, or an error that says what is wrong with it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lidr.errors import HubError
from lidr.release.bounded_rows import read_bounded
from lidr.release.dataset_release import stage_dataset
from lidr.release.finished import Finished
from lidr.reproduce import ReproductionRequest
from tests.reproduce.damage import READERS, read_offline, try_one

SEEDS = 320


@pytest.fixture(scope="session")
def sound(world, tmp_path_factory) -> Path:
    """A small release, as it is uploaded."""
    return staged(world, tmp_path_factory.mktemp("sound") / "release")


@pytest.fixture(scope="session")
def sound_and_scored(scored_world, tmp_path_factory) -> Path:
    """The same with evaluations, whose scores take longer to make again."""
    return staged(scored_world, tmp_path_factory.mktemp("scored") / "release")


def staged(run: Finished, folder: Path) -> Path:
    """A release in a folder."""
    found = stage_dataset(run, folder, "lidr/others")
    (folder / "README.md").write_text(found.card(None), encoding="utf-8")
    return folder


@pytest.mark.parametrize("part", range(4))
def test_a_damaged_release_ends_in_a_verdict_or_an_error_of_ours(sound, tmp_path, monkeypatch, part):
    seeds = range(part, SEEDS, 4)
    assert [odd for seed in seeds if (odd := try_one(sound, tmp_path / "tried", seed, monkeypatch))] == []


def test_a_damaged_release_with_scores_does_too(sound_and_scored, tmp_path, monkeypatch):
    seeds = range(1, 321, READERS)
    assert [odd for seed in seeds if (odd := try_one(sound_and_scored, tmp_path / "tried", seed, monkeypatch))] == []


def test_a_small_table_of_very_many_rows_is_not_worked_with(sound, tmp_path, monkeypatch):
    """105 kB of Parquet stood for 200,000 prompts, and for 82 minutes of requests."""
    shutil.copytree(sound, tmp_path / "hub")
    file = tmp_path / "hub/candidates/iter_1-00000-of-00001.parquet"
    table = pq.read_table(file)
    pq.write_table(pa.concat_tables([table] * (200_000 // table.num_rows)), file, compression="zstd")
    done = read_offline(tmp_path, monkeypatch, ReproductionRequest(until="generate"))
    assert any("rows; by its recipe and its record there are at most" in finding.text for finding in done.findings)
    assert done.kind == "different"


@pytest.mark.parametrize("most", [10, 1000])
def test_rows_are_counted_before_they_are_read(tmp_path, most):
    pq.write_table(pa.table({"a": ["x" * 1000] * 200_000}), tmp_path / "a.parquet", compression="zstd")
    with pytest.raises(HubError, match=rf"it has 200,000 rows; .* at most {most:,}$"):
        read_bounded([tmp_path / "a.parquet"], most=most)


def test_texts_that_are_no_utf_8_are_named(tmp_path):
    texts = pa.array([b"honey", b"\xee wax"], pa.binary()).view(pa.string())
    pq.write_table(pa.table({"a": texts}), tmp_path / "a.parquet")
    with pytest.raises(HubError, match=r"[Ii]nvalid UTF8"):
        read_bounded([tmp_path / "a.parquet"])


def test_rows_that_are_larger_than_texts_are_given_up(tmp_path):
    pq.write_table(pa.table({"a": ["x" * (8 << 20)] * 64}), tmp_path / "a.parquet", compression="zstd")
    assert (tmp_path / "a.parquet").stat().st_size < 1 << 20
    with pytest.raises(HubError, match="its 64 rows are larger than texts are"):
        read_bounded([tmp_path / "a.parquet"])
