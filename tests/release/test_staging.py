"""What is staged: row files by configuration and split, the manifest, what is ours, and what no commit can hold."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest

from lidr.errors import HubError
from lidr.release.finished import Finished
from lidr.release.parents import Licence
from lidr.release.reproduction_files import Links
from lidr.release.staging import (
    DatasetFiles,
    RowFile,
    check_staged,
    files_below,
    owned_by,
    stage_folder,
    write_description,
    write_text,
)
from lidr.store.recipe_lock import LOCK_FILE, write_lock


def row_file(config: str, split: str, number: int = 0, rows: int = 1) -> RowFile:
    return RowFile(f"{config}/{split}-{number}.parquet", config, split, rows, "d")


STAGED = DatasetFiles(
    (
        row_file("all", "iter_1", 1),
        row_file("all", "iter_1", 0),
        row_file("all", "iter_2"),
        row_file("en-es", "iter_1", rows=0),
        row_file("en-es", "iter_2"),
        row_file("dropped", "iter_1", rows=0),
        row_file("candidates", "iter_1", rows=5),
    ),
    {},
)


def test_splits_and_configurations_without_rows_are_left_out():
    assert STAGED.configs == ("all", "en-es", "candidates")
    assert [STAGED.splits(config) for config in ("all", "en-es", "dropped")] == [("iter_1", "iter_2"), ("iter_2",), ()]
    assert STAGED.files("all") == {
        "iter_1": ("all/iter_1-0.parquet", "all/iter_1-1.parquet"),
        "iter_2": ("all/iter_2-0.parquet",),
    }
    assert STAGED.files("dropped") == {}


def test_what_lidr_writes_is_ours_and_nothing_else():
    owned = owned_by(r"all/.*|[a-z]+\.json")
    ours = ["lidr/run.json", "lidr/", "all/x", "all/x/y", "dataset.json"]
    assert [path for path in (*ours, "lidr", "my/lidr/x", "small/all/x", "dataset.json5", "all") if owned(path)] == ours


def test_files_are_named_as_in_the_repository_in_order_and_without_folders(tmp_path):
    for path in ("b/c/d.txt", "a.txt", "b/a.txt"):
        write_text(tmp_path, path, "ä")
    assert files_below(tmp_path) == {path: tmp_path / path for path in ("a.txt", "b/a.txt", "b/c/d.txt")}
    assert (tmp_path / "a.txt").read_bytes() == "ä".encode()


def test_a_stage_folder_is_gone_afterwards():
    with stage_folder() as folder:
        write_text(folder, "a/b", "x")
        assert folder.name.startswith("lidr-release-")
    assert not folder.exists()


@pytest.mark.parametrize(("files", "refused"), [(99, False), (100, True)])
def test_a_hundred_files_with_the_card_fit_into_one_commit(world, files, refused):
    staged = {str(number): Path() for number in range(files)}
    if not refused:
        check_staged(world, staged)
        return
    with pytest.raises(HubError, match=r"scripted 0\.1\.0 makes 101 files, and one commit holds 100: publish fewer"):
        check_staged(world, staged)


def test_a_tag_that_is_none_is_refused_before_anything_is_sent(world):
    recipe = world.recipe.model_copy(update={"version": "0.1.0..2"})
    with pytest.raises(HubError, match="cannot be a release"):
        check_staged(replace(world, recipe=recipe), {})


def described(run: Finished, folder: Path, files: list[RowFile]) -> str:
    return write_description(run, folder, files=files, content={"rows": {"all": "d"}}, links=Links("lidr/p"))


def test_the_manifest_holds_every_file_and_the_rows_of_those_that_have_some(world, tmp_path):
    (tmp_path / "all").mkdir()
    (tmp_path / "all" / "iter_1-0.parquet").write_bytes(b"rows")
    digest = described(world, tmp_path, [replace(row_file("all", "iter_1"), rows=7, row_digest="of rows")])
    content = (tmp_path / "lidr" / "content.json").read_bytes()
    assert digest == hashlib.sha256(content).hexdigest()
    assert json.loads(content) == {
        "schema": 1, "tag": world.tag, "license": world.licence.identifier, "rows": {"all": "d"}
    }  # fmt: skip
    manifest = json.loads((tmp_path / "lidr" / "manifest.json").read_text())
    assert manifest["schema"] == 1
    by_path = {entry.pop("path"): entry for entry in manifest["files"]}
    assert by_path["all/iter_1-0.parquet"] == {
        "bytes": 4, "sha256": hashlib.sha256(b"rows").hexdigest(), "rows": 7, "row_digest": "of rows"
    }  # fmt: skip
    assert by_path["lidr/content.json"] == {"bytes": len(content), "sha256": digest}
    assert set(by_path) == set(files_below(tmp_path)) - {"lidr/manifest.json"}
    records = {path for path in by_path if path.startswith("lidr/records/")}
    assert records == {f"lidr/records/{record.place}.json" for record in world.records}
    assert {"lidr/recipe.yaml", "lidr/run.json", "lidr/environment.json"} <= set(by_path)


def test_the_lock_is_staged_where_there_is_one_and_the_text_of_a_licence_that_is_none_of_the_hubs(world, tmp_path):
    folder = tmp_path / "version"
    described(world, tmp_path / "a", [])
    assert not (tmp_path / "a" / "lidr" / LOCK_FILE).exists()
    write_lock(folder, {"a/b": "1" * 40}, {})
    terms = Licence("other", "as its author says", name="mine")
    described(replace(world, folder=folder, override=terms), tmp_path / "b", [])
    assert json.loads((tmp_path / "b" / "lidr" / LOCK_FILE).read_text())["models"] == {"a/b": "1" * 40}
    assert "as its author says" in (tmp_path / "b" / "LICENSE.md").read_text()
    known = replace(world, override=Licence("mit", "as its author says"))
    described(known, tmp_path / "c", [])
    assert not (tmp_path / "c" / "LICENSE.md").exists()
