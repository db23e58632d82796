from __future__ import annotations

import pytest

import lidr
from lidr.errors import StoreError
from lidr.references import parse_reference
from lidr.store.artifact import open_artifact
from lidr.store.run_locations import locate
from tests.scripted import write_world


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
        ("run:scripted/iter_7/pair", r"no complete artifact here \(no record.json\)"),
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
