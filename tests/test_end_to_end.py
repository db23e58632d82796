"""Two iterations with a real engine and a real trainer, on a tiny random model: prompts in, next policies out."""

from __future__ import annotations

import contextlib
import random
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

import lidr
from lidr.errors import TrainError
from lidr.store.artifact import open_artifact
from tests.scripted import TINY, write_world
from tests.tiny import tiny_model


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> tuple[Path, pl.DataFrame]:
    """A run of the recipe, and its plan."""
    folder = tmp_path_factory.mktemp("tiny")
    recipe = write_world(folder, TINY)
    tiny_model(folder / "model", "smollm2")
    return recipe, lidr.run(lidr.load_recipe(recipe))


def artifact(planned, place: str):
    return open_artifact(planned.version_folder / place)


def test_each_iteration_ends_in_a_policy_with_other_weights(finished):
    _, planned = finished
    digests = [artifact(planned, place).record.digest for place in ("iter_0/policy", "iter_1/train", "iter_2/train")]
    assert len(set(digests)) == 3


def test_the_second_iteration_answers_with_the_first_ones_policy(finished):
    _, planned = finished
    first, trained = artifact(planned, "iter_0/policy").name, artifact(planned, "iter_1/train").name
    assert set(artifact(planned, "iter_1/generate").read()["policy"].to_pylist()) == {first}
    assert set(artifact(planned, "iter_2/generate").read()["policy"].to_pylist()) == {trained}
    assert set(artifact(planned, "iter_2/pair").read()["policy_in"].to_pylist()) == {trained}


def test_the_policy_is_a_plain_folder_that_transformers_loads(finished):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    _, planned = finished
    folder = artifact(planned, "iter_2/train").model
    assert {path.suffix for path in folder.iterdir()} <= {".safetensors", ".json", ".jinja", ".txt"}
    AutoModelForCausalLM.from_pretrained(folder)
    assert AutoTokenizer.from_pretrained(folder).chat_template


def test_the_record_counts_layers_by_kind_and_says_that_the_policy_was_read_back(finished):
    _, planned = finished
    counts = artifact(planned, "iter_2/train").record.counts
    assert counts["adapted"] == {"attention": 8, "mlp": 6}  # two blocks: q k v o, gate up down
    assert counts["not_adapted"] == {}
    read_back = counts["read_back"]
    assert read_back["tensors"] == 21
    assert read_back["difference"] <= 1e-3
    assert read_back["packed_difference"] is None


def test_the_record_names_no_folder_of_this_machine_but_the_recipes_own_model(finished):
    recipe, planned = finished
    for step in planned.steps[1:]:
        text = (planned.folder(step) / "record.json").read_text(encoding="utf-8")
        assert str(recipe.parent / "runs") not in text


def test_running_again_starts_no_worker_and_writes_nothing(finished, monkeypatch):
    recipe, planned = finished
    before = {path: path.stat().st_mtime_ns for path in planned.version_folder.rglob("*")}
    monkeypatch.setattr("lidr.worker.Worker.__init__", None)  # a start would be a TypeError
    lidr.run(lidr.load_recipe(recipe))
    assert {path: path.stat().st_mtime_ns for path in planned.version_folder.rglob("*")} == before


def test_the_account_counts_every_slot_of_both_iterations(finished):
    from lidr.report.summary import summarise

    _, planned = finished
    rows = {row.label: row.counts for row in summarise(planned).account}
    requested = rows.pop("slots (2 x prompts)")
    assert tuple(map(sum, zip(*rows.values(), strict=True))) == requested
    assert "pair: identical" in rows  # reasons that never came up are there, as zeros


def test_a_policy_of_a_run_can_start_another_recipe(finished, tmp_path, monkeypatch):
    recipe, planned = finished
    monkeypatch.setenv("LIDR_STORE", str(planned.store.root))
    other = lidr.load_recipe(recipe, overrides=["name=other", "policy.model=run:scripted"])
    again = lidr.run(other, until="policy")
    assert artifact(again, "iter_0/policy").record.digest == artifact(planned, "iter_2/train").record.digest


def test_no_surviving_pair_ends_the_run_with_the_reasons_and_advice(finished, monkeypatch):
    recipe, _ = finished
    strict = ["version=0.9.0", "chain.pair.accept=[refused]", "chain.pair.min_kept=0"]
    with pytest.raises(TrainError, match="no pair"):
        lidr.run(lidr.load_recipe(recipe, overrides=strict))


@pytest.mark.slow
def test_a_real_run_killed_at_three_random_moments_ends_with_the_same_bytes(finished, tmp_path):
    recipe, planned = finished
    killed = tmp_path / "runs"
    command = [sys.executable, "-m", "lidr.cli.main", "run", str(recipe), "--quiet", "--set", f"runtime.store={killed}"]
    moments = sorted(random.uniform(3, 20) for _ in range(3))
    print("killed after", [round(moment, 1) for moment in moments], "seconds")
    for moment in moments:
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(moment)
        process.kill()
        process.wait()
    again = lidr.run(lidr.load_recipe(recipe, overrides=[f"runtime.store={killed}"]))
    for step in planned.steps:
        one, other = open_artifact(planned.folder(step)).record, open_artifact(again.folder(step)).record
        assert (one.fingerprint, one.files) == (other.fingerprint, other.files), step.place


def test_the_same_chain_runs_on_real_alpagasus_prompts(finished, data_folder, tmp_path):
    recipe, _ = finished
    overrides = [
        f"runtime.store={tmp_path}",
        "name=alpagasus",
        "prompts={source: $LIDR_DATA/alpagasus, license: cc-by-nc-4.0}",
        "iterations=[{prompts: '0:2'}]",
        "chain.train.max_length=2000",
    ]
    planned = lidr.run(lidr.load_recipe(recipe, overrides=overrides), until="pair")
    assert artifact(planned, "iter_1/pair").record.counts["kept"]


def test_the_policy_of_an_iteration_is_loaded_once_for_its_answers_and_its_translations(
    finished, tmp_path, monkeypatch
):
    from lidr.engines.process import engine_process

    opened, start = [], engine_process.ProcessEngine._start

    def counted(engine):
        opened.append(engine._spec.model)
        return start(engine)

    monkeypatch.setattr(engine_process.ProcessEngine, "_start", counted)
    recipe, planned = finished
    again = lidr.run(lidr.load_recipe(recipe, overrides=[f"runtime.store={tmp_path}"]), until="translate")
    assert [Path(model).parent.name for model in opened] == ["policy"]
    for step in again.steps:  # only the order of work has changed
        assert open_artifact(again.folder(step)).record.digest == open_artifact(planned.folder(step)).record.digest
