"""croissant.json of a release, read by mlcroissant: valid, its records generated, its provenance from the records."""

from __future__ import annotations

import json
from dataclasses import replace

import pyarrow.parquet as pq
import pytest

from lidr.release.croissant_json import FILE
from lidr.release.dataset_release import stage_dataset
from lidr.release.eval_results import eval_result_files
from tests.publishing import with_lidr


@pytest.fixture(scope="module")
def staged(world, tmp_path_factory):
    folder = tmp_path_factory.mktemp("croissant")
    return stage_dataset(world, folder, "lidr/bees-prefs"), folder


@pytest.mark.filterwarnings("ignore")  # of rdflib and pandas, in mlcroissant
def test_mlcroissant_finds_no_error_and_generates_every_record(staged):
    mlcroissant = pytest.importorskip("mlcroissant")
    _, folder = staged
    dataset = mlcroissant.Dataset(jsonld=folder / FILE)
    assert dataset.metadata.ctx.issues.errors == set()
    counts = {}
    for record_set in dataset.metadata.record_sets:
        rows = list(dataset.records(record_set=record_set.id))
        counts[record_set.id] = len(rows)
    expected = {p.relative_to(folder).as_posix().removesuffix(".parquet"): pq.read_metadata(p).num_rows
                for p in folder.rglob("*.parquet")}  # fmt: skip
    assert counts == {name: rows for name, rows in expected.items() if rows}
    first = next(iter(dataset.records(record_set="all/iter_1-00000-of-00001")))
    text = first["all/iter_1-00000-of-00001/prompt_text"]
    assert (text.decode() if isinstance(text, bytes) else text).startswith("English: tell me about")


def test_it_has_the_keys_of_responsible_ai_and_where_it_comes_from(staged, world):
    found = json.loads((staged[1] / FILE).read_text(encoding="utf-8"))
    for key in ("dataLimitations", "dataBiases", "personalSensitiveInformation", "dataUseCases", "dataSocialImpact"):
        assert found[f"rai:{key}"]
    assert found["rai:hasSyntheticData"] is True
    assert [one["prov:label"].partition(":")[0] for one in found["prov:wasDerivedFrom"]] == ["prompts", "policy"]
    activities = found["prov:wasGeneratedBy"]
    assert [one["@id"] for one in activities] == [f"lidr/records/{r.place}.json" for r in world.records]
    assert all(one["prov:wasAssociatedWith"] for one in activities)
    assert "personal" in found["rai:personalSensitiveInformation"]
    assert "Not known" in found["rai:personalSensitiveInformation"]


def test_the_same_run_gives_the_same_file_and_a_release_of_older_rules_none(staged, world, tmp_path):
    _, folder = staged
    again = stage_dataset(world, tmp_path / "again", "lidr/bees-prefs")
    assert again.files[FILE].read_bytes() == (folder / FILE).read_bytes()
    older = stage_dataset(with_lidr(world, "0.1.0"), tmp_path / "older", "lidr/bees-prefs")
    assert FILE not in older.files
    assert "## Citation" not in older.card(None)
    assert "language_creators" not in older.card(None)
    assert older.digest == staged[0].digest  # what is released is the same


def task(source: str, asked: int = 1319):
    return {"benchmark": "mgsm", "variant": "plain", "language": "en", "task": "lidr_mgsm_en", "judge": None,
            "data": {"source": source, "asked": asked, "rows": 1319, "sha256": "0" * 64}, "generation": {},
            "scores": {"acc": {"value": 0.5, "stderr": 0.01, "n": asked}}}  # fmt: skip


@pytest.mark.parametrize(
    ("source", "asked", "files"),
    [("openai/gsm8k@" + "a" * 40, 1319, [".eval_results/gsm8k.yaml"]), ("openai/gsm8k@" + "a" * 40, 100, []),
     ("juletxara/mgsm@" + "a" * 40, 1319, []), ("mgsm/en.jsonl", 1319, [])],
)  # fmt: skip
def test_eval_results_are_written_for_registered_benchmarks_that_were_asked_as_a_whole(trained, source, asked, files):
    import yaml
    from huggingface_hub._eval_results import parse_eval_result_entries

    record = replace(trained.records[-1], writes="scores", counts={"tasks": [task(source, asked)], "differences": []})
    run = replace(trained, artifacts=(*trained.artifacts, replace(trained.artifacts[-1], record=record)))
    found = eval_result_files(run, "https://huggingface.co/lidr/x")
    assert list(found) == files
    for text in found.values():
        (entry,) = parse_eval_result_entries(yaml.safe_load(text))
        assert (entry.dataset_id, entry.task_id, entry.value) == ("openai/gsm8k", "gsm8k", 0.5)
        assert entry.dataset_revision == "a" * 40
