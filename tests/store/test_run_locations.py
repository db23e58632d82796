from __future__ import annotations

import pytest

import lidr
from lidr.errors import StoreError
from lidr.references import parse_reference
from lidr.store.artifact import open_artifact
from lidr.store.record import Rate, Record, write_record
from lidr.store.run_locations import locate
from tests.scripted import write_world


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """Records without files: two versions of a run, the newer one with two policies."""
    monkeypatch.setenv("LIDR_STORE", str(tmp_path))
    for version, iteration, step, writes in (
        ("0.9.0", 1, "train", "policy"),
        ("0.9.0", 3, "train", "policy"),
        ("0.10.0", 0, "policy", "policy"),
        ("0.10.0", 2, "train", "policy"),
        ("0.10.0", 1, "train", "policy"),
        ("0.10.0", 2, "pair", "pairs"),
        ("0.10.0", 3, "pair", "pairs"),
    ):
        record = Record(
            recipe="r", version=version, iteration=iteration, step=step, writes=writes, fingerprint="", identity={},
            execution={}, inputs={}, files=(), digest="", counts={}, rate=Rate("pairs", 1, 1.0), finished="",
            versions={},
        )  # fmt: skip
        (folder := tmp_path / "r" / version / f"iter_{iteration}" / step).mkdir(parents=True)
        write_record(folder, record)


@pytest.mark.parametrize(
    ("reference", "version", "place"),
    [
        ("run:r", "0.10.0", "iter_2/train"),
        ("run:r@0.9.0", "0.9.0", "iter_3/train"),
        ("run:r/iter_0/policy", "0.10.0", "iter_0/policy"),
        ("run:r@0.9.0/iter_1/train", "0.9.0", "iter_1/train"),
    ],
)
def test_the_newest_version_and_its_last_policy_are_what_a_name_alone_means(runs, reference, version, place):
    record = locate(parse_reference(reference)).record
    assert (record.version, record.place) == (version, place)


def test_a_version_that_is_not_there_is_refused_with_those_that_are(runs):
    with pytest.raises(StoreError, match=r"r has the versions 0\.9\.0, 0\.10\.0$"):
        locate(parse_reference("run:r@0.1.0"))


def test_without_a_recipe_and_without_the_environment_the_store_is_runs(runs, tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "runs").symlink_to(tmp_path)
    monkeypatch.delenv("LIDR_STORE")
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert locate(parse_reference("run:r")).record.version == "0.10.0"


@pytest.fixture
def store(tmp_path, monkeypatch):
    planned = lidr.run(lidr.load_recipe(write_world(tmp_path)))
    monkeypatch.setenv("LIDR_STORE", str(planned.store.root))
    return planned


def test_a_step_of_a_run_is_found_in_its_newest_version(store):
    assert locate(parse_reference("run:scripted/iter_2/pair")).record.place == "iter_2/pair"


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("run:nobody", "the store .* has no run nobody"),
        ("run:scripted@9.9.9", "scripted has the versions 0.1.0"),
        ("run:scripted", "version 0.1.0 has no trained policy yet; name a step, as /iter_0/policy"),
        ("run:scripted/iter_7/pair", r"no finished step here \(no record.json\)"),
    ],
)
def test_what_is_not_there_is_said(store, reference, message):
    with pytest.raises(StoreError, match=message):
        locate(parse_reference(reference))


def test_a_missing_file_is_named(store):
    folder = store.version_folder / "iter_1" / "pair"
    (folder / "data" / "00000.parquet").unlink()
    with pytest.raises(StoreError, match=r"00000.parquet: missing, its record says"):
        open_artifact(folder)
