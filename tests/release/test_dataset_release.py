import getpass
import json
import socket
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest

import lidr
from lidr.errors import HubError
from lidr.release.candidates import Candidate
from lidr.release.dataset_release import configs_of, stage_dataset
from lidr.release.finished import finished_run
from lidr.release.staging import files_below
from lidr.rows import Dropped, Pair
from lidr.store.fingerprints import file_sha256
from lidr.store.row_digests import row_digest
from lidr.store.store import Store
from tests.scripted import write_world


@pytest.fixture(scope="module")
def folder(world, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("staged")
    stage_dataset(world, folder, "lidr/scripted-prefs")
    return folder


def rows(folder: Path, config: str, split: str) -> pl.DataFrame:
    return pl.read_parquet(folder / config / f"{split}-*.parquet")


def test_every_configuration_has_every_iteration(folder, world):
    assert configs_of(world) == ("all", "en-es", "en-de", "candidates", "dropped")
    for config in configs_of(world):
        assert len(list((folder / config).glob("*.parquet"))) == 2


def test_all_holds_the_runs_pairs_in_the_runs_order(folder, world):
    for k in (1, 2):
        assert rows(folder, "all", f"iter_{k}").equals(pl.DataFrame(world.written("pairs", k).read()))


def test_the_pairs_of_each_language_add_up_to_all(folder):
    parts = pl.concat([rows(folder, config, "iter_1") for config in ("en-es", "en-de")])
    assert parts.sort("pair_id").equals(rows(folder, "all", "iter_1").sort("pair_id"))
    assert set(rows(folder, "en-es", "iter_1").select("language", "other_language").rows()) == {
        ("en", "es"),
        ("es", "en"),
    }


def test_candidates_are_every_response_and_translation_with_a_status(folder, world):
    found = rows(folder, "candidates", "iter_1")
    assert found.height == world.written("responses", 1).rows + world.written("translations", 1).rows
    assert set(found["kind"]) == {"response", "translation"}
    assert found["status"].null_count() == 0
    assert "empty" in set(found["status"])
    assert found.filter(kind="response")["prompt_text"].null_count() == 0


def test_pairs_can_be_built_again_from_candidates_alone(folder, world):
    found = rows(folder, "candidates", "iter_1")
    responses = found.filter(kind="response").select("prompt_id", "language", "text", "finish_reason", "policy")
    stored = pl.DataFrame(world.written("responses", 1).read())
    assert responses.equals(stored.select(responses.columns))
    translations = found.filter(kind="translation").rename({"language": "target"})
    stored = pl.DataFrame(world.written("translations", 1).read())
    assert translations.select(stored.columns).equals(stored)


def test_each_slot_is_a_pair_or_dropped_with_its_reason(folder):
    dropped = rows(folder, "dropped", "iter_1")
    assert rows(folder, "all", "iter_1").height + dropped.height == 2 * 4 * 2
    assert dropped["reason"].null_count() == 0


def test_schemas_are_those_of_the_contract(folder):
    for config, rows_of in (("all", Pair), ("candidates", Candidate), ("dropped", Dropped)):
        for path in (folder / config).glob("*.parquet"):
            schema = pq.read_schema(path)
            assert schema.equals(rows_of.schema)
            assert schema.metadata[b"lidr.schema"] == b"1"


def test_the_manifest_holds_every_file_and_a_digest_of_rows_that_no_encoding_changes(folder, tmp_path):
    manifest = json.loads((folder / "lidr/manifest.json").read_text())["files"]
    by_path = {entry["path"]: entry for entry in manifest}
    assert set(files_below(folder)) - set(by_path) == {"lidr/manifest.json"}
    for path, entry in by_path.items():
        assert entry["sha256"] == file_sha256(folder / path)
    entry = by_path["all/iter_1-00000-of-00001.parquet"]
    table = pq.read_table(folder / entry["path"])
    pq.write_table(table, tmp_path / "other.parquet", compression="none", row_group_size=3)
    assert row_digest([pq.read_table(tmp_path / "other.parquet")]) == entry["row_digest"]
    assert row_digest([table.slice(0, 5), table.slice(5)]) == entry["row_digest"]
    assert row_digest([table.slice(1)]) != entry["row_digest"]


def test_staging_again_gives_the_same_bytes(folder, world, tmp_path):
    again = stage_dataset(world, tmp_path, "lidr/scripted-prefs")
    assert {p: file_sha256(f) for p, f in again.files.items()} == {
        p: file_sha256(f) for p, f in files_below(folder).items()
    }


def test_recipe_run_environment_and_records_are_there(folder, world):
    names = set(files_below(folder))
    assert {"lidr/recipe.yaml", "lidr/run.json", "lidr/environment.json"} <= names
    assert {f"lidr/records/{record.place}.json" for record in world.records} <= names
    run = json.loads((folder / "lidr/run.json").read_text())
    assert run["tag"] == "v0.1.0"
    assert run["recipe_is_verbatim"] is False  # this one names folders of this machine
    assert run["resolved"]["chain"][2]["pair"]["drop"] == "joint"


def test_no_folder_user_or_machine_is_in_any_file(folder, world):
    private = [str(world.folder.parents[3]), str(Path.home()) + "/", "/tmp/", str(Path.cwd())]
    private += [f"/{getpass.getuser()}/"]
    private += [name for name in (socket.gethostname(),) if len(name) > 6]  # a shorter one is also chance
    for path, file in files_below(folder).items():
        content = file.read_bytes()
        for word in private:
            assert word.encode() not in content, (path, word)


def test_a_recipe_without_folders_of_this_machine_is_verbatim(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = write_world(Path("w"))
    recipe = lidr.load_recipe(file)
    planned = lidr.run(recipe)
    run = finished_run(recipe, Store(planned.store.root))
    stage_dataset(run, tmp_path / "out", "lidr/x")
    assert (tmp_path / "out/lidr/recipe.yaml").read_bytes() == file.read_bytes()


def test_llama_factory_finds_flat_texts_of_every_split_with_pairs(folder):
    info = json.loads((folder / "dataset_info.json").read_text())
    assert set(info) == {f"scripted_prefs_{c}_iter_{k}" for c in ("all", "en_es", "en_de") for k in (1, 2)}
    entry = info["scripted_prefs_en_es_iter_2"]
    assert (entry["subset"], entry["split"], entry["ranking"]) == ("en-es", "iter_2", True)
    assert set(entry["columns"].values()) <= set(Pair.schema.names)


def test_an_unfinished_run_cannot_be_published(world, tmp_path):
    with pytest.raises(HubError, match="not finished: iter_1/generate"):
        finished_run(world.recipe, Store(tmp_path))


def test_too_many_files_for_one_commit_are_refused_before_anything_is_sent(world, tmp_path, monkeypatch):
    monkeypatch.setattr("lidr.release.staging.MOST_FILES", 10)
    with pytest.raises(HubError, match="one commit holds 10"):
        stage_dataset(world, tmp_path, "lidr/x")
