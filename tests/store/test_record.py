"""Records and locks that were damaged on disk."""

from __future__ import annotations

import json
import re
import time

import pytest

from lidr.errors import StoreError
from lidr.store import TICK_S
from lidr.store.recipe_lock import LOCK_FILE, read_contents, read_lock
from lidr.store.record import read_record

WHOLE = {
    "recipe": "r", "version": "0.1.0", "iteration": 1, "step": "pair", "writes": "pairs", "fingerprint": "",
    "identity": {}, "execution": {}, "inputs": {}, "files": [], "digest": "", "counts": {}, "finished": "",
    "versions": {}, "schema": 1, "rate": {"unit": "pairs", "count": 1, "elapsed_s": 1.0},
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"files": None}, "NoneType"),
        ({"rate": {}}, "'unit'"),
        ({"colour": 1}, "'colour'"),
        ({"files": [{}]}, "'path'"),
        ({"iteration": "first"}, "iteration: Input should be a valid integer"),
        (
            {"files": [{"path": "a", "bytes": "many", "sha256": ""}]},
            r"files\.0\.bytes: Input should be a valid integer",
        ),
    ],
)
def test_a_record_with_other_fields_is_named_with_the_step_to_make_again(tmp_path, change, found):
    (folder := tmp_path / "iter_1" / "pair").mkdir(parents=True)
    (folder / "record.json").write_text(json.dumps(WHOLE))
    assert read_record(folder) is not None
    (folder / "record.json").write_text(json.dumps({**WHOLE, **change}))
    said = rf"record\.json: damaged \(.*{found}.*\)\. Make the step again with --rebuild iter_1/pair$"
    with pytest.raises(StoreError, match=said):
        read_record(folder)


CONTENT = {"requested": None, "digest": "0", "files": 3}


@pytest.mark.parametrize(
    "contents",
    [
        [],
        {"a/b@1": "x"},
        {"a/b@1": {"digest": "0"}},
        *({"a/b@1": {**CONTENT, **change}} for change in ({"requested": 1}, {"digest": None}, {"files": "3"})),
    ],
)
def test_a_lock_whose_contents_are_something_else_is_to_be_made_again(tmp_path, contents):
    (tmp_path / LOCK_FILE).write_text(json.dumps({"schema": 2, "models": {}, "contents": contents}))
    said = re.escape(
        f"{tmp_path / LOCK_FILE}: damaged, no lock as lidr writes it; remove it and run `lidr lock RECIPE` again"
    )
    with pytest.raises(StoreError, match=f"^{said}$"):
        read_contents(tmp_path)


@pytest.mark.parametrize("models", [["a/b"], None, {"a/b": 1}])
def test_a_lock_whose_models_are_something_else_is_to_be_made_again(tmp_path, models):
    (tmp_path / LOCK_FILE).write_text(json.dumps({"schema": 2, "models": models}))
    with pytest.raises(StoreError, match=r"damaged, no lock as lidr writes it; remove it and run `lidr lock RECIPE`"):
        read_lock(tmp_path)


def test_no_record_is_none_and_one_that_is_no_object_or_of_a_later_lidr_is_refused(tmp_path):
    (folder := tmp_path / "iter_1" / "pair").mkdir(parents=True)
    assert read_record(folder) is None
    for text in ("{", "[]", "3"):
        (folder / "record.json").write_text(text)
        with pytest.raises(
            StoreError, match=r"damaged, no JSON object\. Make the step again with --rebuild iter_1/pair$"
        ):
            read_record(folder)
    (folder / "record.json").write_text(json.dumps({**WHOLE, "schema": 2}))
    with pytest.raises(
        StoreError, match=r"record schema 2, this lidr reads 1: the store was written by another lidr\."
    ):
        read_record(folder)


def test_of_records_that_were_read_only_so_many_are_kept(tmp_path, monkeypatch):
    kept: dict[str, object] = {}
    monkeypatch.setattr("lidr.store.record._known", kept)
    monkeypatch.setattr("lidr.store.record._MOST_KNOWN", 2)
    folders = [tmp_path / f"iter_{number}" / "pair" for number in range(3)]
    for folder in folders:
        folder.mkdir(parents=True)
        (folder / "record.json").write_text(json.dumps(WHOLE))
    time.sleep(2 * TICK_S)  # what was written a moment ago may change unseen, and is not kept
    for folder in folders:
        assert read_record(folder) is not None
    assert [*kept] == [str(folders[2] / "record.json")]
