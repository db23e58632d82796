"""Every JSON file of a model's folder, damaged: plan and run end in words that name the file, and exit code 2."""

from __future__ import annotations

import shutil
import struct
from pathlib import Path

import pytest

from lidr.cli.main import main
from lidr.engines.model_folder import ModelFolder, template_of
from lidr.errors import EngineError
from lidr.weights.model_json import MODEL_JSON
from tests.scripted import write_world
from tests.tiny import tiny_model

DAMAGES = {"a list": "[1]", "a number": "3", "null": "null", "cut off": '{"a": [1, '}
NAMES = (
    "config.json",
    "generation_config.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.json",
    "adapter_config.json",
    "model.safetensors.index.json",
)


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("models") / "model", "smollm2")


def damaged(model: Path, folder: Path, name: str, text: str) -> Path:
    shutil.copytree(model, folder)
    if name == "model.safetensors.index.json":
        (folder / "model.safetensors").rename(folder / "model-00001-of-00001.safetensors")
    (folder / name).write_text(text, encoding="utf-8")
    return folder


def ends_in_words(folder: Path, capsys, *words: str) -> str:
    recipe = write_world(folder)
    said = ""
    for command in ("plan", "run"):
        more = [part for word in words for part in ("--set", word)]
        assert main([command, str(recipe), "--set", "runtime.engine=transformers", *more]) == 2
        told = capsys.readouterr()
        assert "Traceback" not in told.err
        said = said or told.err
        assert told.err.strip()
    return said


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", NAMES)
def test_a_damaged_file_of_a_model_is_named(model, tmp_path, capsys, name, damage):
    folder = damaged(model, tmp_path / "m", name, DAMAGES[damage])
    said = ends_in_words(tmp_path / "w", capsys, f"policy.model={folder}")
    assert name in said
    if name != "adapter_config.json":  # refused where it stands, whatever it holds
        assert "again" in said


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", ["adapter_config.json", "tokenizer_config.json", "chat_template.json"])
def test_a_damaged_file_of_an_adapter_is_named(model, tmp_path, capsys, name, damage):
    adapter = tmp_path / "a"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text("{}")
    header = b'{"a.lora_A.weight":{"shape":[1,1]}}'
    (adapter / "adapter_model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)
    (adapter / name).write_text(DAMAGES[damage])
    said = ends_in_words(tmp_path / "w", capsys, f"policy.model={model}", f"policy.adapter={adapter}")
    assert str(adapter / name) in said


@pytest.mark.parametrize("damage", DAMAGES)
def test_an_engine_refuses_them_too(model, tmp_path, damage):
    folder = damaged(model, tmp_path / "m", "generation_config.json", DAMAGES[damage])
    with pytest.raises(EngineError, match=r"generation_config\.json: .*again"):
        ModelFolder(folder).check()
    with pytest.raises(EngineError, match=r"generation_config\.json: "):
        ModelFolder(folder).end_ids()
    (folder / "chat_template.jinja").unlink()
    (folder / "tokenizer_config.json").write_text(DAMAGES[damage])
    with pytest.raises(EngineError, match=r"tokenizer_config\.json: "):
        template_of(folder)


@pytest.mark.parametrize(
    ("name", "text", "ask"),
    [
        ("config.json", '{"text_config": null, "max_position_embeddings": "many"}', "context_length"),
        ("config.json", '{"text_config": [1]}', "context_length"),
        ("generation_config.json", '{"eos_token_id": "</s>"}', "end_ids"),
        ("generation_config.json", '{"eos_token_id": [1, null]}', "end_ids"),
        ("tokenizer.json", '{"added_tokens": [1]}', "thought_marks"),
    ],
)
def test_a_value_of_another_kind_is_named(tmp_path, name, text, ask):
    (tmp_path / name).write_text(text)
    with pytest.raises(EngineError, match=rf"{name}: .*"):
        getattr(ModelFolder(tmp_path), ask)()


def test_the_files_that_are_looked_at_are_these():
    assert set(NAMES) - {"adapter_config.json"} <= set(MODEL_JSON)
