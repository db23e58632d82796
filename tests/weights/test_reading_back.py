"""What is saved is what was in memory, under names that every tool expects; and what is not is found."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from lidr.weights import load_policy, quantised_by, read_back, save_weights, without_quantization
from lidr.weights.saving import tensors_in
from tests.odd_models import KINDS, odd_model, pack_fp8, pack_mxfp4

PROMPTS = [[1, 40, 300, 7, 99, 250], [5, 6, 7]]


def saved(folder, base, *, dtype="float32"):
    """`base`, loaded and saved as lidr does it."""
    model = load_policy(base, dtype=dtype)
    folder.mkdir()
    carried = save_weights(model, base, folder)
    config = without_quantization(json.loads((base / "config.json").read_text(encoding="utf-8")))
    (folder / "config.json").write_text(json.dumps({**config, "dtype": dtype}), encoding="utf-8")
    return model, carried


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_kind_is_saved_under_its_own_names(tmp_path, kind):
    base, folder = odd_model(tmp_path / "base", kind), tmp_path / "saved"
    model, carried = saved(folder, base)
    found = read_back(folder, model, PROMPTS, dtype="float32", carried=carried)
    assert found.wrong is None
    assert found.tensors == len(model.state_dict())
    assert found.difference is not None
    assert found.difference <= 1e-4
    before, after = tensors_in(base), tensors_in(folder)
    assert {name: shape for name, (_, _, shape) in after.items()} == {n: shape for n, (_, _, shape) in before.items()}


def test_a_vision_tower_that_was_not_loaded_is_carried_over(tmp_path):
    base, folder = odd_model(tmp_path / "base", "qwen3_5"), tmp_path / "saved"
    model, carried = saved(folder, base)
    assert not any("visual" in name for name in model.state_dict())
    assert carried
    assert all(name.startswith("model.visual.") for name in carried)
    whole = {name: tensor for file in folder.glob("*.safetensors") for name, tensor in load_file(file).items()}
    for name, tensor in load_file(base / "model.safetensors").items():
        torch.testing.assert_close(whole[name], tensor, rtol=0, atol=0)
    from transformers import Qwen3_5ForConditionalGeneration

    _, info = Qwen3_5ForConditionalGeneration.from_pretrained(folder, output_loading_info=True)
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_gpt_oss_in_mxfp4_keeps_its_experts(tmp_path, dtype):
    base, folder = odd_model(tmp_path / "base", "gpt_oss", dtype="bfloat16"), tmp_path / "saved"
    names = set(tensors_in(base))
    pack_mxfp4(base)
    model, carried = saved(folder, base, dtype=dtype)
    assert carried == ()
    assert quantised_by(folder) is None
    assert set(tensors_in(folder)) == names
    assert read_back(folder, model, PROMPTS, dtype=dtype).wrong is None


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_fp8_is_saved_as_plain_numbers(tmp_path, dtype):
    base, folder = odd_model(tmp_path / "base", "qwen3"), tmp_path / "saved"
    names = set(tensors_in(base))
    pack_fp8(base)
    model, carried = saved(folder, base, dtype=dtype)
    assert carried == ()
    assert set(tensors_in(folder)) == names
    assert read_back(folder, model, PROMPTS, dtype=dtype).wrong is None


def test_experts_that_transformers_alone_would_lose_are_missed(tmp_path):
    """What was seen: every expert gone, and the saved folder loads without an error."""
    base, folder = odd_model(tmp_path / "base", "gpt_oss", dtype="bfloat16"), tmp_path / "saved"
    pack_mxfp4(base)
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.bfloat16)
    model.save_pretrained(folder)
    wrong = read_back(folder, model, PROMPTS, dtype="bfloat16").wrong
    assert wrong is not None
    assert "mlp.experts" in wrong


def _other_numbers(folder):
    tensors = load_file(folder / "model.safetensors")
    tensors["model.norm.weight"] = tensors["model.norm.weight"] * 1.5
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def _one_less(folder):
    tensors = load_file(folder / "model.safetensors")
    del tensors["model.layers.1.mlp.down_proj.weight"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def _one_more(folder):
    tensors = load_file(folder / "model.safetensors")
    tensors["model.layers.7.mlp.down_proj.weight"] = torch.zeros(2, 2)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def _half(folder):
    tensors = {name: tensor.half() for name, tensor in load_file(folder / "model.safetensors").items()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def _said(**changes):
    def change(folder):
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        (folder / "config.json").write_text(json.dumps({**config, **changes}), encoding="utf-8")

    return change


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_other_numbers, r"model\.norm\.weight holds other numbers"),
        (_one_less, r"1 tensors are in none of its files, the first model\.layers\.1\.mlp\.down_proj\.weight"),
        (_one_more, r"1 tensors in its files belong to no part of the model, the first model\.layers\.7"),
        (_half, r"is F16 in model\.safetensors; F32 was to be saved"),
        (_said(quantization_config={"quant_method": "fp8"}), r"says that the weights are packed \(fp8\)"),
        (_said(rms_norm_eps=1.0), r"the logits of 2 prompts differ from those in memory, by up to "),
    ],
    ids=["numbers", "missing", "unknown", "format", "packed", "logits"],
)
def test_what_is_wrong_is_found(tmp_path, spoil, words):
    import re

    base, folder = odd_model(tmp_path / "base", "qwen3"), tmp_path / "saved"
    model, _ = saved(folder, base)
    spoil(folder)
    found = read_back(folder, model, PROMPTS, dtype="float32").wrong
    assert found is not None
    assert re.search(words, found), found
