"""One class for each kind of model, and no packed weight in it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText

from lidr.errors import EngineError
from lidr.weights import load_policy, policy_class
from tests.odd_models import odd_model, pack_fp8, pack_mxfp4, say_packed

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("qwen3_5", AutoModelForCausalLM),
        ("gemma3", AutoModelForCausalLM),
        ("gpt_oss", AutoModelForCausalLM),
        ("mistral3", AutoModelForImageTextToText),
    ],
)
def test_the_class_is_that_of_later_use(tmp_path, kind, expected):
    folder = odd_model(tmp_path / "policy", kind)
    assert policy_class(AutoConfig.from_pretrained(folder)) is expected
    names = set(expected.from_pretrained(folder).state_dict())
    assert set(load_policy(folder).state_dict()) == names


def test_a_kind_of_model_that_is_no_language_model_is_refused():
    from transformers import ViTConfig

    with pytest.raises(EngineError, match=r"model_type vit: no language model that this transformers loads"):
        policy_class(ViTConfig())


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_experts_in_mxfp4_become_plain_numbers(tmp_path, dtype):
    folder = odd_model(tmp_path / "policy", "gpt_oss", dtype="bfloat16")
    pack_mxfp4(folder)
    model = load_policy(folder, dtype=dtype)
    assert {weight.dtype for weight in model.parameters()} == {getattr(torch, dtype)}
    assert not hasattr(model.config, "quantization_config")
    blocks = load_file(folder / "model.safetensors")["model.layers.1.mlp.experts.down_proj_blocks"]
    values = torch.tensor([0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6]) / 16
    halves = torch.stack([blocks & 15, blocks >> 4], dim=-1)  # the lower four bits come first
    wanted = values[halves.long()].flatten(2).transpose(1, 2)
    torch.testing.assert_close(model.model.layers[1].mlp.experts.down_proj.float(), wanted, rtol=0, atol=0)


def test_bitsandbytes_fetches_no_native_code(tmp_path):
    """It asks `kernels` for it when it is imported, on CPUs with bfloat16; here that package leaves a mark."""
    package = tmp_path / "kernels"
    package.mkdir()
    (package / "__init__.py").write_text(
        f"def get_kernel(*a, **b):\n    open({str(tmp_path / 'asked')!r}, 'w')\n    raise OSError\n", encoding="utf-8"
    )
    code = "from lidr.weights import forbid_fetched_kernels as f\nf()\nimport peft, kernels\nassert kernels.get_kernel"
    paths = os.pathsep.join([str(tmp_path), str(ROOT)])
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": paths}, cwd=tmp_path)
    assert not (tmp_path / "asked").exists()


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_weights_in_fp8_become_plain_numbers(tmp_path, dtype):
    folder = odd_model(tmp_path / "policy", "qwen3")
    before = AutoModelForCausalLM.from_pretrained(folder).state_dict()
    pack_fp8(folder)
    model = load_policy(folder, dtype=dtype)
    assert {weight.dtype for weight in model.parameters()} == {getattr(torch, dtype)}
    after = model.state_dict()
    assert set(after) == set(before)
    for name, tensor in before.items():
        torch.testing.assert_close(after[name].float(), tensor, rtol=0.1, atol=0.02)


@pytest.mark.parametrize("method", ["awq", "gptq", "bitsandbytes"])
def test_what_is_not_unpacked_is_refused_by_name(tmp_path, method):
    folder = odd_model(tmp_path / "policy", "qwen3")
    say_packed(folder, {"quant_method": method})
    with pytest.raises(EngineError, match=rf"is quantised \({method}\)"):
        load_policy(folder)
