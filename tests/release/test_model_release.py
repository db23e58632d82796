import json
import shutil
from dataclasses import replace

import pytest
from safetensors.torch import load_file

from lidr.errors import HubError
from lidr.release.model_release import stage_model
from lidr.release.staging import files_below


def test_the_merged_model_loads_and_names_no_folder(trained, tmp_path):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    staged = stage_model(trained, tmp_path, "lidr/tiny")
    assert {"config.json", "model.safetensors", "lidr/run.json", "lidr/records/iter_1/train.json"} <= set(staged.files)
    AutoModelForCausalLM.from_pretrained(tmp_path)
    assert AutoTokenizer.from_pretrained(tmp_path).chat_template
    for path, file in files_below(tmp_path).items():
        if not path.endswith(".safetensors"):
            assert str(trained.folder.parents[2]) not in file.read_text(), path
    source = trained.policy().model / "model.safetensors"
    assert load_file(source).keys() == load_file(tmp_path / "model.safetensors").keys()


def test_the_adapter_alone_comes_with_its_tokenizer_and_the_name_of_its_base(trained, tmp_path):
    staged = stage_model(trained, tmp_path, "lidr/tiny", adapter_only=True)
    assert {"adapter_model.safetensors", "adapter_config.json", "tokenizer.json"} <= set(staged.files)
    assert "model.safetensors" not in staged.files
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    assert "/" not in config["base_model_name_or_path"]
    assert "library_name: peft" in staged.card(None)


def test_merged_and_adapter_are_different_releases(trained, tmp_path):
    staged = [stage_model(trained, tmp_path / str(flag), "lidr/tiny", adapter_only=flag) for flag in (True, False)]
    assert staged[0].digest != staged[1].digest


def test_files_of_the_other_form_are_ours_to_remove_and_foreign_ones_are_not(trained, tmp_path):
    owned = stage_model(trained, tmp_path, "lidr/tiny").owned
    assert owned("adapter_model.safetensors")
    assert owned("model-00001-of-00002.safetensors")
    assert owned("lidr/records/iter_9/pair.json")
    assert not owned("notes.txt")
    assert not owned("onnx/model.safetensors")


def test_a_file_that_the_record_does_not_name_is_not_published(trained, tmp_path, monkeypatch):
    policy = trained.policy()
    copy = tmp_path / "train"
    shutil.copytree(policy.folder, copy)
    for part in ("model", "adapter"):
        (copy / part / "notes.txt").write_text("somebody's own")
        (copy / part / "extra.safetensors").write_text("no weights")
        (copy / part / "chat_template.json").write_text("{}")
    monkeypatch.setattr(type(trained), "policy", lambda run: replace(policy, folder=copy))
    for only in (False, True):
        staged = stage_model(trained, tmp_path / str(only), "lidr/tiny", adapter_only=only)
        assert not {"notes.txt", "extra.safetensors", "chat_template.json"} & set(staged.files)


def test_a_run_without_training_has_no_policy_to_publish(world, tmp_path):
    with pytest.raises(HubError, match="makes no policy"):
        stage_model(world, tmp_path, "lidr/x")


def test_an_adapter_that_was_never_trained_is_said_with_both_ways_out(trained, tmp_path, monkeypatch):
    policy = trained.policy()
    (tmp_path / "train").mkdir()
    without = replace(policy, folder=tmp_path / "train", record=replace(policy.record, files=()))
    monkeypatch.setattr(type(trained), "policy", lambda run: without)
    said = "iter_1/train has no adapter: set publish.adapter_only to false, or train with lora"
    with pytest.raises(HubError, match=f"^{said}$"):
        stage_model(trained, tmp_path / "out", "lidr/tiny", adapter_only=True)
    with pytest.raises(HubError, match=r"^iter_1/train has no model: train it first$"):
        stage_model(trained, tmp_path / "out", "lidr/tiny")
    assert not (tmp_path / "out").exists()
