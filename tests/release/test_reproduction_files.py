import json
from dataclasses import replace

import pyarrow.parquet as pq
import pytest

import lidr
from lidr.release.dataset_release import stage_dataset
from lidr.release.finished import finished_run
from lidr.release.reproduction_files import rows_of, side_files
from lidr.store.fingerprints import file_sha256
from lidr.store.row_digests import row_digest
from lidr.store.store import Store
from tests.scripted import write_world


@pytest.fixture(scope="module")
def staged(world, tmp_path_factory):
    folder = tmp_path_factory.mktemp("staged")
    stage_dataset(world, folder, "lidr/p", siblings={"pairs": "lidr/p", "policy": "lidr/m"})
    return folder


def test_run_json_holds_a_digest_of_every_steps_rows_that_no_encoding_changes(staged, world):
    run = json.loads((staged / "lidr/run.json").read_text())
    for artifact in world.artifacts:
        if artifact.tables:
            said = run["rows"][artifact.record.place]["data"]
            assert said == {"rows": artifact.rows, "digest": row_digest([artifact.read()])}
            assert rows_of(artifact)["data"] == said
    assert "dropped" in run["rows"]["iter_1/pair"]


def test_a_file_goes_along_only_where_a_step_has_read_it(staged, world):
    run = json.loads((staged / "lidr/run.json").read_text())
    (brought,) = run["files"]
    assert brought["setting"] == "runtime.answers"
    assert file_sha256(staged / brought["path"]) == brought["sha256"]
    unread = replace(world.artifacts[0].record, identity={"outside": {}})
    artifacts = tuple(replace(a, record=replace(a.record, identity=unread.identity)) for a in world.artifacts)
    assert side_files(replace(world, artifacts=artifacts)) == []


def test_lists_of_ids_that_the_recipe_names_go_along(tmp_path):
    file = write_world(tmp_path / "w")
    ids = tmp_path / "ids.txt"
    ids.write_text("p1\n")
    recipe = lidr.load_recipe(file, overrides=[f"chain.pair.translation_type={{ids: {ids}}}"])
    planned = lidr.run(recipe)
    run = finished_run(recipe, Store(planned.store.root))
    assert {side.setting for side in side_files(run)} == {"chain.pair.translation_type.ids", "runtime.answers"}


def test_what_belongs_together_stands_in_run_json(staged):
    links = json.loads((staged / "lidr/run.json").read_text())["release"]
    assert links == {"repo": "lidr/p", "datasets": [], "siblings": {"pairs": "lidr/p", "policy": "lidr/m"}}


def test_the_numbers_of_steps_without_texts_are_published_as_rows(world, tmp_path):
    scores = replace(world.artifacts[-1].record, writes="scores")
    run = replace(world, artifacts=(*world.artifacts, replace(world.artifacts[-1], record=scores)))
    stage_dataset(run, tmp_path, "lidr/p")
    (path,) = (tmp_path / "lidr/rows").rglob("*.parquet")
    assert path.relative_to(tmp_path).as_posix() == f"lidr/rows/{scores.place}/00000.parquet"
    assert pq.read_table(path).num_rows
