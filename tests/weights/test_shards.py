from __future__ import annotations

import json

import pytest

from lidr.engines import ModelFolder
from lidr.errors import EngineError, PlanError
from lidr.hub import check_model_folder
from lidr.weights import missing_shards
from tests.tiny import tiny_model


def sharded(folder):
    """A tiny model in three files."""
    from transformers import AutoModelForCausalLM

    tiny_model(folder, "qwen2")
    model = AutoModelForCausalLM.from_pretrained(folder)
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder, max_shard_size="60KB")
    assert len(list(folder.glob("*.safetensors"))) > 2
    return folder


def test_a_missing_shard_is_named_before_anything_is_loaded(tmp_path):
    folder = sharded(tmp_path / "policy")
    assert missing_shards(folder) is None
    ModelFolder(folder).check()
    gone = sorted(folder.glob("*.safetensors"))[1]
    gone.unlink()
    for check, error in (
        (ModelFolder(folder).check, EngineError),
        (lambda: check_model_folder(folder, "x"), PlanError),
    ):
        with pytest.raises(error, match=rf"1 of \d+ files of weights .*missing \({gone.name}\): download"):
            check()


def test_why_a_folder_has_no_weights_is_told_as_it_is(tmp_path):
    folder = tiny_model(tmp_path / "skewed-1", "qwen2")
    weights = folder / "model.safetensors"
    for name, said in (
        ("pytorch_model.bin", r"lidr loads no pickled weights \(pytorch_model.bin\): convert"),
        ("weights.other", r"no weights \(\*\.safetensors\) beside its config.json: download the model whole"),
    ):
        weights = weights.rename(folder / name)
        for check, error in (
            (ModelFolder(folder).check, EngineError),
            (lambda: check_model_folder(folder, "x"), PlanError),
        ):
            with pytest.raises(error, match=said):
                check()


def test_a_folder_that_is_not_there_is_told_from_one_without_a_model_and_names_its_neighbour(tmp_path):
    (tmp_path / "skewed-1").mkdir()
    with pytest.raises(PlanError, match=r"x: no folder .*skewed-9; did you mean .*skewed-1\?; give a folder"):
        check_model_folder(tmp_path / "skewed-9", "x")
    with pytest.raises(PlanError, match=r"skewed-1 is no model folder \(no config.json\)"):
        check_model_folder(tmp_path / "skewed-1", "x")


def test_a_single_file_is_read_and_no_index(tmp_path):
    folder = tiny_model(tmp_path / "policy", "qwen2")
    (folder / "model.safetensors.index.json").write_text("{}", encoding="utf-8")
    assert missing_shards(folder) is None


@pytest.mark.parametrize("text", ["[", "{}", "[]", json.dumps({"weight_map": []})])
def test_a_damaged_index_is_named(tmp_path, text):
    (tmp_path / "model.safetensors.index.json").write_text(text, encoding="utf-8")
    assert "is no index of weights" in (missing_shards(tmp_path) or "")
